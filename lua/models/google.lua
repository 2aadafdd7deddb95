--- What Google's errors mean, and the public client that its CLI logs in with.

return {
  -- Reasons of google.rpc.ErrorInfo: what they mean for the credential, and how long it rests when
  -- the answer does not say.
  reasons = {
    RATE_LIMIT_EXCEEDED = { verdict = "quota", most = 300 },
    QUOTA_EXHAUSTED = { verdict = "quota", seconds = 1800 },
    MODEL_CAPACITY_EXHAUSTED = { verdict = "quota", seconds = 300 },
    INSUFFICIENT_G1_CREDITS_BALANCE = { verdict = "payment_required" },
    API_KEY_INVALID = { verdict = "unauthorized", scope = "credential" },
    VALIDATION_REQUIRED = { verdict = "forbidden", scope = "credential" },
    SERVICE_DISABLED = { verdict = "forbidden", scope = "credential" },
    CONSUMER_SUSPENDED = { verdict = "forbidden", scope = "credential" },
  },

  -- Statuses that are about the account and not about the request, whatever their number.
  statuses = {
    FAILED_PRECONDITION = { verdict = "forbidden", scope = "credential" },
  },

  -- Words in the id of a quota that lasts until the next day.
  daily = { "PerDay", "Daily" },

  -- What a refusal says where Code Assist is no longer served.
  retired = { "no longer supported", "for individuals", "not eligible", "ineligible" },

  code_assist = {
    url = "https://cloudcode-pa.googleapis.com",
    -- A public client of an installed application; its secret is none.
    client_id = "681255809395-oo8ft2oprdrnp9e3aqf6av3hmdib135j.apps.googleusercontent.com",
    client_secret = "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",
    scopes = {
      "https://www.googleapis.com/auth/cloud-platform",
      "https://www.googleapis.com/auth/userinfo.email",
      "https://www.googleapis.com/auth/userinfo.profile",
    },
    token_url = "https://oauth2.googleapis.com/token",
    browser_url = "https://accounts.google.com/o/oauth2/auth",
    -- Shows the code to be copied, where no browser can come back to this machine.
    code_uri = "https://codeassist.google.com/authcode",
  },

  -- What follows a login.
  setup = {
    userinfo = "https://www.googleapis.com/oauth2/v1/userinfo?alt=json",
    projects = "https://cloudresourcemanager.googleapis.com/v1/projects",
    pages = 100, -- of projects, at most
    service = "https://serviceusage.googleapis.com/v1/projects/%s/services/"
      .. "cloudaicompanion.googleapis.com",
    free = "free-tier", legacy = "legacy-tier",
    pause = 5, seconds = 300, -- between looks at the onboarding, and for all of it
  },
}
