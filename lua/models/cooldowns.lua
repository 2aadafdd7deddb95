--- How long a candidate rests after a failure, by the verdict on it (core.verdicts).
---
--- `seconds`: always that long.  `from` and `most`: doubled with each failure in a row.  `hinted`:
--- a delay that the upstream gives counts instead.  `spares`: never the last one that is left.
--- `wide`: all models of the credential, where others rest for one model unless the problem says so.
--- `login`: a new login ends it, so it is not kept over a restart.

local HALF_HOUR = 1800

return {
  unauthorized = { seconds = HALF_HOUR, login = true },
  needs_login = { seconds = HALF_HOUR, wide = true, login = true },
  payment_required = { seconds = HALF_HOUR },
  forbidden = { seconds = HALF_HOUR },
  -- A web page of a guard before the API: its mood changes sooner than an account's rights.
  challenge = { from = 10, most = HALF_HOUR },
  quota = { from = 1, most = HALF_HOUR, hinted = true },
  unsupported = { seconds = 43200 },
  -- Its seconds are `transient-error-cooldown-seconds`.
  transient = { seconds = 60, hinted = true, spares = true },
}
