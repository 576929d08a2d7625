# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""curl against nginx: large downloads (sendfile and copied, proxied, by range, over TLS with and without kTLS) and uploads
(DAV PUT, with a length and chunked), each verified by hash."""
import hashlib
import os
import random

from driver import nginx
from driver.world import Failure

NEEDS = {"nginx": "nginx", "curl": "curl", "openssl": "openssl"}
EXPECT = {"observed": "edge_triggered"}
SIZE = 150_000_000

SECTIONS = """
    upstream back {{ server 127.0.0.1:{port}; keepalive 4; }}
    ssl_certificate {dir}/cert.pem;
    ssl_certificate_key {dir}/key.pem;
    server {{
        listen 127.0.0.1:{port};
        root {dir}/www;
        sendfile on;
        location /copied/ {{ alias {dir}/www/; sendfile off; output_buffers 2 1m; }}
        location /up/ {{ dav_methods PUT; }}
        location /proxied/ {{
            proxy_pass http://back/; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_max_temp_file_size 0; proxy_request_buffering off;
        }}
    }}
    server {{ listen 127.0.0.1:{tls} ssl; root {dir}/www; sendfile on; }}
    server {{ listen 127.0.0.1:{ktls} ssl; root {dir}/www; sendfile on; ssl_conf_command Options KTLS; }}
"""


def digest(path):
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def check(what, path, wanted):
    if digest(path) != wanted:
        raise Failure(f"{what}: changed on the way ({os.path.getsize(path)} bytes arrived)")
    os.remove(path)


def run(t):
    port, tls, ktls = t.port(), t.port(), t.port()
    os.makedirs(f"{t.dir}/www/up")
    big = t.file("www/big", random.Random(1).randbytes(SIZE))
    wanted = digest(big)
    t.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", 2,
          "-keyout", f"{t.dir}/key.pem", "-out", f"{t.dir}/cert.pem")
    nginx.start(t, port, SECTIONS.format(dir=t.dir, port=port, tls=tls, ktls=ktls))
    curl = ("curl", "-sSfk", "--max-time", 40)
    plain = f"http://127.0.0.1:{port}"
    out = f"{t.dir}/out"

    for url in (f"{plain}/big", f"{plain}/copied/big", f"{plain}/proxied/big", f"{plain}/proxied/copied/big",
                f"https://127.0.0.1:{tls}/big", f"https://127.0.0.1:{ktls}/big"):
        t.run(*curl, "-o", out, url)
        check(url, out, wanted)

    with open(out, "wb") as whole:
        for n in range(5):
            t.run(*curl, "-r", f"{n * SIZE // 5}-{(n + 1) * SIZE // 5 - 1}", "-o", f"{t.dir}/part", f"{plain}/big")
            with open(f"{t.dir}/part", "rb") as part:
                whole.write(part.read())
    check("five ranges", out, wanted)

    t.run(*curl, "-Z", *sum((["-o", f"{out}{n}", f"{plain}/big"] for n in range(4)), []))
    for n in range(4):
        check("one of four at once", f"{out}{n}", wanted)

    for url, options in ((f"{plain}/up/one", ()), (f"{plain}/up/chunked", ("-H", "Transfer-Encoding: chunked")),
                         (f"{plain}/proxied/up/proxied", ())):
        t.run(*curl, "-T", big, *options, url)
        check(url, f"{t.dir}/www/up/{url.rpartition('/')[2]}", wanted)
    return wanted
