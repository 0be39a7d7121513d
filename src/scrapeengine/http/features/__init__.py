"""Features of requests that keep something between them: cookies, robots.txt, validators."""
