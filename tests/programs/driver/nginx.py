# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An nginx on ports of its own, as an ordinary user, with what its `server` sections say."""

CONFIG = """
daemon off;
pid {dir}/nginx.pid;
error_log stderr;
worker_processes 2;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    {sections}
}}
"""


def start(t, port, sections):
    config = t.file("nginx.conf", CONFIG.format(dir=t.dir, sections=sections))
    t.start("nginx", "-p", t.dir, "-c", config, "-e", "stderr", port=port)
