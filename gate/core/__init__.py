"""Messages, the plugin registry and the base exception: what every other package builds on."""
