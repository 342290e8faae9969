"""The subcommands of `nld`: each module here with ``add_parser`` is one."""
