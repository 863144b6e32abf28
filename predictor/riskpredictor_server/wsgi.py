"""WSGI entry point for other servers: ``gunicorn riskpredictor_server.wsgi:application``.

Settings come from the environment. The product's own server is ``python -m riskpredictor_server``.
Run one worker process, with as many threads as needed: each process has metrics and a drift score
of its own, so with several of them counters jump between scrapes. To use more cores, run more pods.
"""

from __future__ import annotations

import atexit

from riskpredictor_server.api.service import Service
from riskpredictor_server.logs import configure
from riskpredictor_server.settings import from_strings
from riskpredictor_server.web.app import create_app

_settings = from_strings({})
configure(_settings.log_format, _settings.log_level)
_service = Service(_settings)
atexit.register(_service.close)
application = create_app(_service)
