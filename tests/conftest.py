"""Every test runs in float64, with silent broadcasting between ranks forbidden and warnings as errors."""

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
