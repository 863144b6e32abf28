"""nginx and HAProxy in front of a predictor, below a path prefix and with kept connections."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support import debian
from support.api import eventually

PREFIX = "/ward/risk"
NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream predictor {{
        server 127.0.0.1:{target};
        keepalive 8;
    }}
    server {{
        listen 127.0.0.1:{port};
        location {prefix}/ {{
            proxy_pass http://predictor/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
HAPROXY = """\
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:{port}
    default_backend predictor
backend predictor
    http-reuse always
    http-request replace-path {prefix}(/.*) \\1
    server one 127.0.0.1:{target}
"""


def nginx_program() -> str:
    """Unpacked and not installed: Debian's package would start a server on port 80."""
    return str(debian.unpacked("nginx") / "usr" / "sbin" / "nginx")


@contextmanager
def nginx(folder: Path, port: int, target: int) -> Iterator[str]:
    """The address below which nginx passes requests on to the port ``target``."""
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, target=target, prefix=PREFIX))
    log = folder / "error.log"
    with _running([nginx_program(), "-p", str(folder), "-e", str(log), "-c", str(config)], port):
        yield f"http://127.0.0.1:{port}{PREFIX}"


@contextmanager
def haproxy(folder: Path, port: int, target: int) -> Iterator[str]:
    """Likewise, of HAProxy."""
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, target=target, prefix=PREFIX))
    with _running([debian.ensure("haproxy"), "-db", "-f", str(config)], port):
        yield f"http://127.0.0.1:{port}{PREFIX}"


@contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        eventually(lambda: process.poll() is not None or _answers(port), within=30)
        assert process.poll() is None, process.communicate()[1]
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}{PREFIX}/health", timeout=10
        ) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
