"""Outcomes as rows of databases: SQLite, PostgreSQL and MariaDB, by SQLAlchemy Core."""
