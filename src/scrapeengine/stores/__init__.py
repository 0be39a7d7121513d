"""Where jobs live: in memory, or in a file of SQLite. `opening` opens one; `rules` says what both do."""
