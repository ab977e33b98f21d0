"""How an adapter becomes a typed Dagster resource.

An adapter is a plain class; beside it stands a `Vended` with its typed settings and an `adapter()` that makes it.
Dagster hands the adapter itself to assets and checks, which know only its port.
"""

from typing import Any

import dagster as dg


class Vended(dg.ConfigurableResource[Any]):
    """A resource whose value is the adapter it makes."""

    def adapter(self) -> Any:
        """The adapter, made from this resource's settings."""
        raise NotImplementedError

    def create_resource(self, context: dg.InitResourceContext) -> Any:
        """What Dagster gives to an asset."""
        return self.adapter()
