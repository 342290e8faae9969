"""The claims about Muon's symmetry, and what rules on each."""

import numpy as np
import xarray as xr

from nld.figures._data.muon_prose import numbers
from nld.inference import Evidence
from nld.paper import Claim

PLACE = ((), "fig-muon", "book/muon-symmetry")
CLAIMS = (
    Claim("muon-commutes-with-rotations", "Rotating the basis of attention heads turns Muon's trajectory along, and "
          "changes Adam's.", *PLACE, "lau2026symmetry"),
    Claim("equivariant-rules-leave-no-drift", "A rule that commutes with the changes of basis of adapters reaches one "
          "product from every place of an orbit; Adam does not.", *PLACE, "shirodkar2026dead"),
    Claim("balanced-adapters-are-conditioned-best", "Of all adapters of one product balanced ones have the Hessian of "
          "the smallest condition number.", *PLACE, "castin2026balanced"),
    Claim("random-biases-remove-rotations", "Biases of queries and values that are drawn and not trained remove the "
          "rotations of an attention head.", *PLACE, "silverstein2026symmetry"),
)  # fmt: skip
ROUNDED = 1e-9  # differences that are rounding, relative


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the numbers that it states."""
    told = numbers(data)
    commuting = data["twin_kept"].sel(twin=["heavy ball", "Muon"])
    products = data["products_lost"].sel(adapter_rule="Adam", change=["rotation", "any invertible"])
    least, condition = float(data["condition_least"]), data["condition"].values
    return [
        Evidence("muon-commutes-with-rotations",
                 f"Over {told['steps']} steps twins stay within {told['twins']} under Muon and heavy ball; under Adam "
                 f"they end {told['adam-apart']} of the way apart.",
                 checks={"Muon": bool((commuting < ROUNDED).all()), "Adam": float(data["twin_lost"][-1]) > 0.05}),
        Evidence("equivariant-rules-leave-no-drift",
                 f"Products end within {told['products-kept']} where the rule commutes; under Adam "
                 f"{told['adam-products']} apart.",
                 checks={"commuting": bool((data["products_kept"] < ROUNDED).all()),
                         "Adam": bool((products > 0.02).all())}),
        Evidence("balanced-adapters-are-conditioned-best",
                 f"{told['best']} for balanced adapters, {told['conditions']} at {data.sizes['place'] - 1} other "
                 "places.",
                 checks={"balanced": bool(np.isclose(condition[0], least, rtol=1e-6)),
                         "no place is better": bool((condition > least * (1 - 1e-6)).all()),
                         "formula": bool(np.allclose(condition, data["condition_predicted"], rtol=1e-6))}),
        Evidence("random-biases-remove-rotations",
                 f"Blocks that the finder names: {told['named']}. Rotations left after 0, 1, 2, … draws: "
                 f"{told['rotations-left']}.",
                 checks={"named": data["named"].values.tolist() == [2, 0, 2],
                         "counted": bool((data["left"] == data["left_predicted"]).all())}),
    ]  # fmt: skip
