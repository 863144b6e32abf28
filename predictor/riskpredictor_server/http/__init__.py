"""HTTP/1.1 over asyncio and httptools: what lies between a socket and the application."""
