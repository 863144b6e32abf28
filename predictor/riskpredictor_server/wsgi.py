"""For other WSGI servers: ``gunicorn riskpredictor_server.wsgi:application``.

Settings come from the environment. The product's own server is ``python -m riskpredictor_server``.
"""

from __future__ import annotations

from riskpredictor_server.app import create_app
from riskpredictor_server.logs import configure
from riskpredictor_server.service import Service
from riskpredictor_server.settings import from_strings

_settings = from_strings({})
configure(_settings)
application = create_app(Service(_settings))
