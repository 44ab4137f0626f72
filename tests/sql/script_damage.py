"""Ways in which the books could stop telling one story of partners' scripts, and the invariant that sees each."""

DAMAGE = [
    ("update script.version set source = source || ' '", "script_source"),
    ("delete from script.version where version = 1", "script_versions"),
    ("update script.version set state = 'retired'", "script_active"),
    ("update script.version set reviewer = author", "script_review"),
    ("update script.script set version = 1", "script_activation"),
    ("update script.entry_count set entries = 7", "script_tables"),
    ("delete from script.entry", "script_tables"),
]
