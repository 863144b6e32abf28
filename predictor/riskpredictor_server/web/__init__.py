"""The Flask application: routes, page and API documentation."""
