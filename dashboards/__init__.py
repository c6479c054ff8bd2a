"""Grafana's dashboards, as code: built by `make dashboards` into `docker/grafana/dashboards`.

Belongs here: what the boards show, and how their JSON is built. Does not: provisioning, which is
in `docker/grafana/provisioning`, and anything that the product imports: the library that builds
the JSON is of development only.
"""
