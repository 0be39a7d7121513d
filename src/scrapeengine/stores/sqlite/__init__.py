"""Jobs in a file: SQLite by way of apsw, one connection in a thread of its own."""
