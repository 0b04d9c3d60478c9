# Build the action's image: Python and the gate. `--build-arg BASE=` accepts any Debian 13.
ARG BASE=debian:trixie-slim@sha256:a29215f6a35e51e22adffa17f89e9d2ef06214e64a2bad10d765c46aea49f11f

FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.lock /
# Wheels only, pinned by hash: a source package would run its own code during the build.
RUN python3 -m venv /opt/prodgate \
    && /opt/prodgate/bin/pip install --no-cache-dir --only-binary=:all: --require-hashes -r /requirements.lock \
    && /opt/prodgate/bin/pip uninstall -y pip
COPY gate /source/gate
COPY templates /source/templates
# Reports are in English and French: Babel's other 1,000 locales are most of its size. Its bytecode and that of the
# gate are written once, here: a run that has to compile them takes twice as long.
RUN cp -rL /source/gate /opt/prodgate/lib/python3*/site-packages/ \
    && find /opt/prodgate/lib/python3*/site-packages/babel/locale-data -name '*.dat' \
        ! -name root.dat ! -name 'en*.dat' ! -name 'fr*.dat' -delete \
    && find /opt/prodgate -depth -name __pycache__ -exec rm -r {} + \
    && /opt/prodgate/bin/python -m compileall -q /opt/prodgate/lib \
    && /opt/prodgate/bin/python -I -m gate.render

FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    # pkgcache.bin and srcpkgcache.bin survive `apt-get clean` and are larger than Python itself.
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt \
        /usr/share/man/* /usr/share/locale/* \
    && find /usr/share/doc -type f ! -name copyright -delete
COPY --from=build /opt/prodgate /opt/prodgate
# The runner invokes the post entrypoint by path and passes no arguments, so the script is installed under two names.
COPY entrypoint.py /entrypoint.py
RUN chmod 755 /entrypoint.py && ln -s /entrypoint.py /post
# Root, as GitHub requires of container actions: the image cannot know which user owns the runner's files.
# Isolated (-I): the working directory holds the code under test, which must not be imported.
ENTRYPOINT ["/opt/prodgate/bin/python", "-I", "-u", "/entrypoint.py"]
