"""The name of a consumer group as an argument."""

import click

from kafkajourney import application


class GroupName(click.ParamType[str]):
    """One of the application's groups; they are looked up when the argument is there, or the help is shown."""

    name = "group"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 # click's signature
        """Return what the help shows for it."""
        names = "|".join(application.current().groups)
        return f"{{{names}}}" if param.param_type_name == "argument" else f"[{names}]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; fail where there is no such group."""
        groups = application.current().groups
        if value not in groups:
            self.fail(f"{value!r} is not one of {', '.join(map(repr, groups))}.", param, ctx)
        return value
