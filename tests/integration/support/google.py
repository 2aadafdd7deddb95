"""Google for Gemini CLI logins and Code Assist: strict servers under their real names.

One person with several projects.  Every answer is checked against what Google publishes about its
interfaces; what a caller gets wrong is a problem, which fails the test.
"""
import base64
import hashlib
import threading
import urllib.parse

from .dialects import gemini_chunk
from .upstream import reply, sse

CLIENT_ID = "681255809395-oo8ft2oprdrnp9e3aqf6av3hmdib135j.apps.googleusercontent.com"
CLIENT_SECRET = "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"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform",
          "https://www.googleapis.com/auth/userinfo.email",
          "https://www.googleapis.com/auth/userinfo.profile"]
TOKEN_HOST, ASSIST = "oauth2.googleapis.com", "cloudcode-pa.googleapis.com"
FAR, PAST = "2040-01-01T00:00:00+08:00", "2020-01-01T00:00:00.123456+08:00"
METADATA = {"ideType": "IDE_UNSPECIFIED", "platform": "PLATFORM_UNSPECIFIED",
            "pluginType": "GEMINI"}
ENVELOPE = {"model", "project", "user_prompt_id", "request", "enabled_credit_types"}
REQUEST = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig",
           "safetySettings", "labels", "cachedContent", "session_id"}


def problem(code, status, message, *details):
    return reply({"error": {"code": code, "message": message, "status": status,
                            "details": list(details)}}, code)


def wrapped(chunk):
    return {"response": chunk, "traceId": "trace-1"}


class Google:
    def __init__(self, hosts, email="someone@example.com", life=3599):
        self.hosts, self.email, self.life = hosts, email, life
        self.lock = threading.Lock()
        self.serial = 0
        self.codes = {}  # code: the parameters of the browser's request
        self.access, self.refresh = set(), "1//refresh-0"
        self.projects = {"made-up-project-1": "First", "made-up-project-2": "Second"}
        self.enabled = set(self.projects)
        self.tier = {"id": "standard-tier", "userDefinedCloudaicompanionProject": True}
        self.pending = 0  # looks at the onboarding before it is done
        self.said = ["Hello", " there"]
        on = hosts.on
        self.token = on(TOKEN_HOST, "POST", "/token")
        self.token(self._token)
        self.userinfo = on("www.googleapis.com", "GET", "/oauth2/v1/userinfo")
        self.userinfo(self._userinfo)
        self.listing = on("cloudresourcemanager.googleapis.com", "GET", "/v1/projects")
        self.listing(self._projects)
        self.load = on(ASSIST, "POST", "/v1internal:loadCodeAssist")
        self.load(self._load)
        self.onboard = on(ASSIST, "POST", "/v1internal:onboardUser")
        self.onboard(self._onboard)
        self.state = on("serviceusage.googleapis.com", "GET", "/v1/projects/*")
        self.state(self._state)
        self.enabling = on("serviceusage.googleapis.com", "POST", "/v1/projects/*")
        self.enabling(self._enable)
        self.whole = on(ASSIST, "POST", "/v1internal:generateContent")
        self.whole(self._whole)
        self.stream = on(ASSIST, "POST", "/v1internal:streamGenerateContent")
        self.stream(self._stream)
        self.count = on(ASSIST, "POST", "/v1internal:countTokens")
        self.count(self._count)

    # --- accounts ---------------------------------------------------------------------------

    def issue(self):
        with self.lock:
            self.serial += 1
            token = f"ya29.access-{self.serial}"
            self.access.add(token)
            return token

    def revoke(self):
        """Access tokens that are out are refused from now on."""
        with self.lock:
            self.access.clear()

    def document(self, project="made-up-project-1", expiry=FAR, **extra):
        """A token file as the reference writes it."""
        return {"token": {"access_token": self.issue(), "client_id": CLIENT_ID,
                          "client_secret": CLIENT_SECRET, "expires_in": 3599, "expiry": expiry,
                          "refresh_token": self.refresh, "scopes": SCOPES, "token_type": "Bearer",
                          "token_uri": "https://oauth2.googleapis.com/token",
                          "universe_domain": "googleapis.com"},
                "project_id": project, "email": self.email, "auto": False, "checked": True,
                "type": "gemini", **extra}

    def agree(self, url):
        """The person agrees in the browser: where Google sends it."""
        parts = urllib.parse.urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == \
            "https://accounts.google.com/o/oauth2/auth"
        asked = dict(urllib.parse.parse_qsl(parts.query, strict_parsing=True))
        assert asked["client_id"] == CLIENT_ID and asked["response_type"] == "code"
        assert asked["scope"].split(" ") == SCOPES
        assert asked["access_type"] == "offline" and asked["prompt"] == "consent"
        assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
        assert len(asked["state"]) >= 32
        code = f"4/0code-{len(self.codes)}"
        self.codes[code] = asked
        return code, asked["redirect_uri"] + "?" + urllib.parse.urlencode(
            {"state": asked["state"], "code": code, "scope": asked["scope"]})

    def _bearer(self, request):
        token = (request.header("authorization") or "").removeprefix("Bearer ")
        with self.lock:
            return token in self.access

    def _token(self, request):
        form = request.form()
        if form["client_id"] != CLIENT_ID or form["client_secret"] != CLIENT_SECRET:
            return reply({"error": "invalid_client"}, 401)
        if form["grant_type"] == "refresh_token":
            assert set(form) == {"grant_type", "refresh_token", "client_id", "client_secret"}
            if form["refresh_token"] != self.refresh:
                return reply({"error": "invalid_grant",
                              "error_description": "Token has been expired or revoked."}, 400)
            return {"access_token": self.issue(), "expires_in": self.life, "token_type": "Bearer",
                    "scope": " ".join(SCOPES)}
        assert form["grant_type"] == "authorization_code"
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if not asked or asked["redirect_uri"] != form["redirect_uri"] \
                or asked["code_challenge"] != challenge:
            return reply({"error": "invalid_grant", "error_description": "Bad Request"}, 400)
        self.refresh = "1//refresh-1"
        return {"access_token": self.issue(), "refresh_token": self.refresh,
                "expires_in": self.life, "token_type": "Bearer", "scope": " ".join(SCOPES),
                "id_token": "x.y.z"}

    def _userinfo(self, request):
        assert request.path.endswith("?alt=json") and self._bearer(request)
        return {"id": "1", "email": self.email, "verified_email": True}

    def _projects(self, request):
        assert self._bearer(request)
        dead = {"projectId": "gone-project", "lifecycleState": "DELETE_REQUESTED"}
        listed = [dead] + [{"projectId": i, "name": n, "projectNumber": "1",
                            "lifecycleState": "ACTIVE"} for i, n in self.projects.items()]
        at = int(dict(urllib.parse.parse_qsl(request.path.partition("?")[2])).get("pageToken", 0))
        more = {"nextPageToken": str(at + 2)} if at + 2 < len(listed) else {}
        return {"projects": listed[at:at + 2], **more}

    # --- Code Assist -------------------------------------------------------------------------

    def _load(self, request):
        body = request.json()
        assert self._bearer(request) and set(body) <= {"metadata", "cloudaicompanionProject"}
        assert body["metadata"] == METADATA
        current = {"currentTier": self.tier} if self.tier and not self.pending else {}
        allowed = [{"id": "free-tier"}, {**self.tier, "isDefault": True}]
        return {**current, "allowedTiers": allowed}

    def _onboard(self, request):
        body = request.json()
        assert self._bearer(request) and body["metadata"] == METADATA
        assert body["tierId"] == self.tier["id"]
        assert body["cloudaicompanionProject"] in self.projects
        with self.lock:
            self.pending -= 1
        if self.pending > 0:
            return {"name": "operations/1"}
        return {"name": "operations/1", "done": True, "response": {
            "cloudaicompanionProject": {"id": body["cloudaicompanionProject"]}}}

    def _project_of(self, request, end):
        head, tail = "/v1/projects/", "/services/cloudaicompanion.googleapis.com" + end
        assert self._bearer(request)
        assert request.path.startswith(head) and request.path.endswith(tail), request.path
        return request.path[len(head):-len(tail)]

    def _state(self, request):
        project = self._project_of(request, "")
        return {"state": "ENABLED" if project in self.enabled else "DISABLED"}

    def _enable(self, request):
        project = self._project_of(request, ":enable")
        assert request.json() == {}
        self.enabled.add(project)
        return {"name": "operations/2", "done": True}

    def _check(self, request):
        """The answer to a wrong request, or nothing."""
        if not self._bearer(request):
            return problem(401, "UNAUTHENTICATED", "Request had invalid credentials.")
        body = request.json()
        assert set(body) <= ENVELOPE, set(body) - ENVELOPE
        assert set(body["request"]) <= REQUEST, set(body["request"]) - REQUEST
        assert body["request"]["contents"][0]["role"] == "user"
        if body["project"] not in self.projects:
            return problem(403, "PERMISSION_DENIED", "Permission denied on the project.")
        return None

    def _whole(self, request):
        assert request.header("accept") == "application/json"
        return self._check(request) or reply(wrapped(gemini_chunk(
            [{"text": "".join(self.said)}], "STOP")))

    def _stream(self, request):
        assert request.path.endswith("?alt=sse")
        assert request.header("accept") == "text/event-stream"
        return self._check(request) or sse(*[wrapped(gemini_chunk([{"text": t}])) for t in self.said],
                                           wrapped(gemini_chunk([{"text": ""}], "STOP")), done=False)

    def _count(self, request):
        body = request.json()
        if not self._bearer(request):
            return problem(401, "UNAUTHENTICATED", "Request had invalid credentials.")
        assert set(body) == {"request"} and body["request"]["model"].startswith("models/")
        return reply({"totalTokens": 31})


def revoked():
    return reply({"error": "invalid_grant",
                  "error_description": "Token has been expired or revoked."}, 400)


def quota(seconds, reason="RATE_LIMIT_EXCEEDED"):
    kind = "type.googleapis.com/google.rpc."
    return problem(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.",
                   {"@type": kind + "ErrorInfo", "reason": reason, "domain": ASSIST},
                   {"@type": kind + "RetryInfo", "retryDelay": f"{seconds}s"})
