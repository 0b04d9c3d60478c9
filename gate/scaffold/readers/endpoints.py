"""Find health and metrics endpoints in source code, as common frameworks declare them.

A router that is mounted elsewhere counts with the prefix that it has there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from msgspec import Struct, field

from gate.scaffold.files import RepoFiles, folder_of, is_test
from gate.scaffold.model import Endpoint

_CODE = (".go", ".py", ".js", ".mjs", ".cjs", ".ts", ".java", ".kt", ".rb", ".rs", ".cs", ".php", ".ex", ".scala")
_PATH = (
    r"/(?:[A-Za-z0-9_.~-]+/){0,4}(?:_?health(?:z|check|[-_]check)?|livez?|liveness|alive|readyz?|readiness|ping|metrics)"
    r"(?:/(?:live|liveness|ready|readiness|startup))?/?|/(?:api/)?(?:v\d+/)?status/?"
)
_LITERAL = re.compile(rf"""["'`](?:(?:GET|HEAD) )?(?:\$?\{{([\w.]{{1,64}})\}})?({_PATH})["'`]""")
_WHOLE = re.compile(_PATH)
_NO_ROUTE = re.compile(
    r"^\s*(?://|#(?!\[)|\*|/\*)|requests\.|\b[cC]lient\.|httpx|fetch\(|axios|urlopen|[Hh]ttp\.(?:Get|Head|NewRequest)|"
    r"RestTemplate|WebClient|HttpClient|curl|wget|supertest|(?i:skip|exclude|ignore|permitAll|matchers|whitelist|allowlist|startsWith)"
)
_DECLARES = (
    r"(?:\b(?i:get|head|any|all|handle|handlefunc|handlerfunc|route|path|url|resource|use|usehealthchecks|match|mount|service|endpoint|at|"
    r"add_?(?:api_)?(?:route|url_rule|view)|map\w*|\w*mapping|register\w*|serve\w*)\s*\(\s*|MethodGet\s*,\s*|"
    r"[\"']GET[\"']\s*,\s*|\b(?:path|url)\s*:\s*|\bself\.path\s*==\s*|\bcase\s+|\((?:value|path)\s*=\s*\{?\s*)"
)
_CALL = re.compile(_DECLARES + r"f?$")
#: A path behind an expression: `baseUrl + "/healthz"`, `prefixed("/readyz")`.
_EXPRESSION = re.compile(_DECLARES + r"(?:([\w.]{1,64})\s*[+.]\s*|[\w.]{1,64}\(\s*(?:[\w.]{1,64}\s*,\s*)?)$")
_HANDLER = re.compile(r"\s*,\s*(?:[\w.:]+\(\)?\.?)*?(?:to\()?&?([\w.:]+)(?:\(\))?\s*[,)]")
_RECEIVER = re.compile(r"\b(\w{1,64})\.\w+\(\s*$")
_GROUPS = re.compile(r"""\b(\w{1,64})\s*:?=\s*\b(\w{1,64})\.(?:Group|PathPrefix|group)\(\s*["'`]([^"'`]*)["'`]""")
_ROUTERS = re.compile(
    r"\b(\w{1,64})\s*(?::[^=\n]{1,80})?=\s*(?:APIRouter|Blueprint|express\.Router|Router|new Router)\(([^)]{0,500})\)"
)
_PREFIX = re.compile(r"""(?:url_)?prefix\s*=\s*["']([^"']*)["']""")
_GIVEN = re.compile(r"\b(\w{1,64})\s+(?:\*gin\.RouterGroup|\*echo\.Group|fiber\.Router|chi\.Router)\b")
_MOUNTS = re.compile(
    r"\b(\w{1,64})\.(?:include_router|register_blueprint)\(\s*\b([\w.]{1,200})([^)]{0,500})\)|"
    r"""\b(\w{1,64})\.use\(\s*(?:["'](/[^"']*)["']\s*,\s*)?(?:require\(\s*["']([^"']+)["']\s*\)|\b(\w{1,64}))\s*\)"""
)
_IMPORTS = re.compile(
    r"""from\s+\b([\w.]{1,200})\s+import\s+(?:\w+\s+as\s+)?\b(\w{1,64})|"""
    r"""(?:const|let|var|import)\s+\{?\s*\b(\w{1,64})\s*\}?\s*(?:=\s*require\(|from)\s*["']([^"']+)["']"""
)
_INDEX = re.compile(r"""\b(\w{1,64})\.get\(\s*["'`]/?["'`]""")
_DEPTH = 5
# Characters around a path that are searched for the call that declares it, also on the line before.
_CALLED = 120
_SPRING = ("spring-boot-starter-actuator", "micrometer-registry-prometheus")


class _Mount(Struct, frozen=True):
    """The mount point of a file's router: its prefix (None if unknown), on another file's router or an application."""

    prefix: str | None
    on: str = ""


class _Mounts(Struct):
    """The mount points of routers by file name, Django's includes by file, and the prefix of a Nest application."""

    routers: dict[str, _Mount] = field(default_factory=dict)
    django: dict[str, str] = field(default_factory=dict)
    nest: str = ""

    def prefix(self, stem: str, depth: int = _DEPTH) -> str | None:
        """Return the whole prefix of a file's router; None if it can't be resolved."""
        mount = self.routers.get(stem)
        if mount is None or mount.prefix is None or not depth:
            return None
        outer = self.prefix(mount.on, depth - 1) if mount.on else ""
        return None if outer is None else outer.rstrip("/") + mount.prefix


def endpoints(files: RepoFiles) -> list[Endpoint]:
    """Return all endpoints in the order of the files, each path once per folder."""
    sources = {name: files.text(name) for name in files.names if name.endswith(_CODE) and not is_test(name)}
    mounts = _mounts(sources)
    found: dict[tuple[str, str], Endpoint] = {}
    for each in [*(each for name, text in sources.items() for each in _of_file(name, text, mounts)), *_actuator(files)]:
        found.setdefault((each.path, folder_of(each.file)), each)
    return list(found.values())


def _of_file(name: str, text: str, mounts: _Mounts) -> Iterator[Endpoint]:
    for offset, path in _declared(name, text, mounts):
        yield Endpoint(path, name, text.count("\n", 0, offset) + 1, handler=_handler(text, offset))


def _handler(text: str, offset: int) -> str:
    """Return the name of the function behind a path; empty if it follows, as below a decorator or inline."""
    line = text[offset : offset + 2 * _CALLED].partition("\n")[0]
    found = _HANDLER.search(line)
    if pair := re.search(r"\[\s*(?:\w+\\)*(\w+)::class\s*,\s*'(\w+)'", line):
        return f"{pair[1]}.{pair[2]}"
    name = re.sub(r":+", ".", found[1]) if found else ""
    return "" if name in ("func", "function", "async", "req", "request", "ctx", "c", "w", "new") else name


def _declared(name: str, text: str, mounts: _Mounts) -> Iterator[tuple[int, str]]:
    if "@Controller(" in text:
        yield from _nest(text, mounts)
    elif _is_urls(name):
        yield from _django(name, text, mounts)
    else:
        yield from _routes(name, text, mounts)
        yield from _built_in(name, text)


def _routes(name: str, text: str, mounts: _Mounts) -> Iterator[tuple[int, str]]:
    """Yield string literals that are an endpoint's path, under the prefix of their router."""
    if not (_LITERAL.search(text) or _INDEX.search(text)):
        return
    prefixes = _prefixes(name, text, mounts)
    annotated = _class_prefix(text)
    for match in _LITERAL.finditer(text):
        before = text[max(0, match.start() - _CALLED) : match.start()]
        line = before.rpartition("\n")[2] + text[match.start() : match.end() + _CALLED].partition("\n")[0]
        behind = _EXPRESSION.search(before)
        if not (_CALL.search(before) or behind) or _NO_ROUTE.search(line) or "@RequestMapping(" in line:
            continue
        receiver = _RECEIVER.search(before)
        prefix = prefixes.get(receiver[1], "") if receiver else annotated if "Mapping(" in line else ""
        if receiver and any(given[1] == receiver[1] for given in _GIVEN.finditer(text, 0, match.start())):
            prefix = None  # a router that a function is given hangs where its caller says
        if behind or match[1]:
            prefix = _expression_value(text, (behind[1] if behind else match[1]) or "")
        yield match.start(), ("…" if prefix is None else prefix.rstrip("/")) + match[2]
    for match in _INDEX.finditer(text):
        if _WHOLE.fullmatch(prefix := prefixes.get(match[1]) or ""):
            yield match.start(), prefix


def _expression_value(text: str, name: str) -> str | None:
    """Return the value of a variable in front of a path: a literal, or the default of a setting; None if unknown."""
    variable = re.escape(name.rpartition(".")[2])
    literal = re.search(rf"""\b{variable}\b[^=\n]{{0,40}}=\s*["'`](/?[\w/-]*)["'`]""", text) if name else None
    if literal:
        return literal[1]
    setting = rf"""\b{variable}\b[^=\n]{{0,40}}=\s*[^\n]*?(?:Getenv\(|environ|getenv\(|process\.env)[^\n]*"""
    found = re.search(setting, text) if name else None
    default = re.search(r"""(?:\|\||\?\?|,|or)\s*["'`](/?[\w/-]*)["'`]""", found[0]) if found else None
    return default[1] if default else "" if found else None


def _class_prefix(text: str) -> str:
    """Return the path prefix of a Spring controller's class."""
    found = re.search(r"""@RequestMapping\(\s*(?:value\s*=\s*|path\s*=\s*)?\{?\s*["'](/[^"']*)["']""", text)
    return found[1].rstrip("/") if found and found.start() < text.find("class ") else ""


def _prefixes(name: str, text: str, mounts: _Mounts) -> dict[str, str | None]:
    """Return the prefix of each router and group in a file; None if it can't be resolved."""
    found: dict[str, str | None] = {}
    for router in _ROUTERS.finditer(text):
        own = _PREFIX.search(router[2])
        outer = "" if _mounted_here(text, router[1]) else mounts.prefix(_stem(name))
        found[router[1]] = None if outer is None else outer.rstrip("/") + (own[1] if own else "")
    for group in _GROUPS.finditer(text):
        outer = found.get(group[2], "")
        found[group[1]] = None if outer is None else outer.rstrip("/") + group[3]
    return found


def _mounted_here(text: str, router: str) -> bool:
    """Return whether a router is mounted without a prefix in the file that creates it."""
    return bool(re.search(rf"(?:include_router|register_blueprint|\.use)\(\s*{router}\s*\)", text))


def _mounts(sources: dict[str, str]) -> _Mounts:
    found = _Mounts()
    for name, text in sources.items():
        if _is_urls(name):
            for match in re.finditer(r"""path\(\s*r?["']([^"']*)["']\s*,\s*include\(\s*\(?["']([\w.]+)["']""", text):
                found.django[match[2].replace(".", "/") + ".py"] = match[1]
        imported = {(match[2] or match[3]): (match[1] or match[4]) for match in _IMPORTS.finditer(text)}
        for match in _MOUNTS.finditer(text):
            stem, prefix = _mount(match, imported)
            on = _stem(name) if (match[1] or match[4]) in {router[1] for router in _ROUTERS.finditer(text)} else ""
            if stem != _stem(name):
                found.routers[stem] = _Mount(None if stem in found.routers else prefix, on)
        if nest := re.search(r"""setGlobalPrefix\(\s*["']/?([^"']+?)/?["']""", text):
            found.nest = f"/{nest[1]}"
    return found


def _mount(match: re.Match[str], imported: dict[str, str]) -> tuple[str, str | None]:
    """Return the file whose router is mounted, and its prefix; None if the prefix is not a literal."""
    if match[2]:
        first, _, last = match[2].partition(".")
        literal = _PREFIX.search(match[3])
        stem = first if last else imported.get(first, first).rpartition(".")[2]
        return stem, literal[1] if literal else None if "prefix" in match[3] else ""
    return _stem(match[6] or imported.get(match[7], match[7])), match[5] or ""


def _stem(name: str) -> str:
    """Return the name of a module: its file's, or its folder's if the file is an index."""
    path = re.sub(r"\.(?:py|[cm]?[jt]s)$", "", name)
    base = posixpath.basename(path)
    return posixpath.basename(posixpath.dirname(path)) if base in ("index", "__init__") else base


def _is_urls(name: str) -> bool:
    return name.endswith(("urls.py", "config/routes.rb"))


def _django(name: str, text: str, mounts: _Mounts) -> Iterator[tuple[int, str]]:
    """Yield the endpoints of Django's URL configurations and of Rails' routes: paths without a leading slash."""
    outer = next((prefix for module, prefix in mounts.django.items() if name.endswith(module)), "")
    own = _django_lists(text)
    known = {"health_check.urls": "", "django_prometheus.urls": "metrics"}
    for match in re.finditer(
        r"""(?:path|url)\(\s*r?["']\^?([^"'$]*)\$?["']\s*,\s*include\(\s*["']([\w.]+)["']""", text
    ):
        if match[2] in known:
            yield match.start(), "/" + outer + match[1] + known[match[2]]
    for match in re.finditer(r"""\b(?:re_path|path|url|get)\(?\s*r?["']\^?([^"']*?)/?(/?)\??\$?["']""", text):
        inner = next((prefix for start, prefix in reversed(own) if start < match.start()), "")
        path = "/" + match[1].lstrip("/") + match[2]
        rails = name.endswith(".rb") and path.rstrip("/") == "/up"
        whole = f"/{outer}{inner or ''}{path[1:]}"
        if _WHOLE.fullmatch(path) or _WHOLE.fullmatch(whole) or rails:
            found = _django_slash(text[match.start() : match.end()], whole)
            yield match.start(), found if inner is not None else f"…{found}"


def _django_lists(text: str) -> list[tuple[int, str | None]]:
    """Return where lists of URLs begin, and under which prefix the same file includes them; None if it does not."""
    found: list[tuple[int, str | None]] = []
    for match in re.finditer(r"(?m)^(\w+)\s*(?::[^=\n]*)?\+?=\s*\[", text):
        if match[1] == "urlpatterns":
            found.append((match.start(), ""))
            continue
        name = re.escape(match[1])
        prefixes = re.findall(rf"""path\(\s*r?["']([^"'<]*)["']\s*,\s*include\(\s*\(?\s*{name}\b""", text)
        found.append((match.start(), prefixes[-1] if prefixes else None))
    return found


def _django_slash(declared: str, path: str) -> str:
    """Return a path with the trailing slash that its declaration has."""
    ends = re.search(r"/\$?[\"']$", declared) is not None
    return path.rstrip("/") + ("/" if ends else "")


def _nest(text: str, mounts: _Mounts) -> Iterator[tuple[int, str]]:
    """Yield the endpoints of Nest controllers, under the prefix of the application."""
    controller = re.search(r"""@Controller\(\s*(?:\{\s*path:\s*)?(?:["'`]/?([^"'`]*?)/?["'`])?""", text)
    for match in re.finditer(r"""@Get\(\s*(?:["'`]/?([^"'`]*?)/?["'`])?\s*\)""", text):
        parts = [part for part in (controller[1] if controller else "", match[1]) if part]
        path = "/" + "/".join(parts)
        if _WHOLE.fullmatch(path):
            yield match.start(), mounts.nest + path


def _built_in(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield the endpoints that a library serves although the code has no path for them."""
    known = (
        (".py", r"Instrumentator\([^)]{0,500}\)[\s\S]{0,200}?\.expose\(\s*\w+\s*\)", "/metrics"),
        (".py", r"\b(?:GunicornPrometheusMetrics|PrometheusMetrics)\(\s*app\b", "/metrics"),
        (".cs", r"\.MapMetrics\(\s*\)", "/metrics"),
        (".php", r"health:\s*'/up'", "/up"),
    )
    for suffix, pattern, path in known:
        match = re.search(pattern, text) if name.endswith(suffix) else None
        if match:
            yield match.start(), path


def _actuator(files: RepoFiles) -> Iterator[Endpoint]:
    """Yield Spring Boot actuator endpoints: health by default, Prometheus if it is a dependency and exposed."""
    for name in files.names:
        if not name.endswith(("pom.xml", "build.gradle", "build.gradle.kts")):
            continue
        text = files.text(name)
        folder = posixpath.dirname(name)
        settings = "\n".join(
            files.text(each)
            for each in files.names
            if each.startswith(folder)
            and re.search(r"src/main/resources/application[^/]*\.(?:properties|ya?ml)$", each)
        )
        base = re.search(r"(?m)base-path\s*[:=]\s*[\"']?(/[\w/-]*)", settings)
        root = base[1].rstrip("/") if base else "/actuator"
        shown = re.search(r"(?m)^.*\binclude\s*[:=].*$", settings)
        for library, path in zip(_SPRING, ("health", "prometheus"), strict=True):
            at = text.find(library)
            if at >= 0 and (path == "health" or (shown and re.search(r"prometheus|\*", shown[0]))):
                # Actuator's health covers the datasource, and is 503 if it is down.
                yield Endpoint(f"{root}/{path}", name, text.count("\n", 0, at) + 1, "ready" if path == "health" else "")
