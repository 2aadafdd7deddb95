"""What is measured, as data: one more lane is one more line."""

from collections import namedtuple

# upstream: whose key list the proxy's model belongs to; it decides what the proxy has to translate.
Lane = namedtuple("Lane", "name group size stream dialect model")

LANES = [
    Lane("small JSON", "pass", "small", False, "chat", "bench-model"),
    Lane("small SSE", "pass", "small", True, "chat", "bench-model"),
    Lane("10 KB JSON", "pass", "medium", False, "chat", "bench-model"),
    Lane("10 KB SSE", "pass", "medium", True, "chat", "bench-model"),
    Lane("126 KB JSON", "pass", "large", False, "chat", "bench-model"),
    Lane("126 KB SSE", "pass", "large", True, "chat", "bench-model"),
]

# Client's dialect, upstream's dialect, and the model that is there.
PAIRS = [
    ("anthropic", "chat", "bench-model"),
    ("anthropic", "gemini", "bench-gemini"),
    ("chat", "anthropic", "bench-claude"),
    ("responses", "chat", "bench-model"),
]

LANES += [
    Lane(f"{client} to {upstream}, {label} {'SSE' if stream else 'JSON'}", "translate", size, stream,
         client, model)
    for client, upstream, model in PAIRS
    for size, label in (("small", "small"), ("medium", "10 KB"), ("large", "126 KB"))
    for stream in (False, True)
]

# An answer of one content event, as a whole answer is: the other Claude lanes have 16 in theirs.
LANES += [Lane("chat to anthropic, small JSON, brief answer", "translate", "small", False, "chat",
               "bench-claude-brief")]

LANES += [
    Lane("gemini to chat, small SSE", "translate", "small", True, "gemini", "bench-model"),
    Lane("chat to gemini, small SSE", "translate", "small", True, "chat", "bench-gemini"),
]

# Models of the openai-compatibility entry; the mock finds its mode in the name.
CHAT_MODELS = ["bench-model", "bench-split", "bench-paced", "bench-endless", "bench-idle"]

PROXY_CONFIG = """\
port: {port}
host: 127.0.0.1
auth-dir: {folder}/auths
workers: {workers}
logging-to-file: false
api-keys: [bench-key]
openai-compatibility:
  - name: bench
    base-url: http://127.0.0.1:{upstream}/v1
    api-key-entries:
      - api-key: k
    models:
{models}"""

CLAUDE_CONFIG = """\
claude-api-key:
  - api-key: k
    base-url: http://127.0.0.1:{upstream}
    models:
      - name: bench-claude
        alias: bench-claude
      - name: bench-claude-brief
        alias: bench-claude-brief
"""

# Only written when a chosen lane names the model, so that the plain lanes need no more than above.
EXTRA_CONFIG = {
    "bench-claude": CLAUDE_CONFIG,
    "bench-claude-brief": CLAUDE_CONFIG,
    "bench-gemini": """\
gemini-api-key:
  - api-key: k
    base-url: http://127.0.0.1:{upstream}
    models:
      - name: bench-gemini
        alias: bench-gemini
""",
}

NGINX_CONFIG = """\
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections {connections}; }}
http {{
    access_log {access_log};
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 64m;
    client_body_buffer_size 256k;
    keepalive_requests 1000000000;
    upstream mock {{
        server 127.0.0.1:{upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout 600s;
    server {{
        listen 127.0.0.1:{port_json} backlog=4096;
        proxy_buffering on;
        location / {{ proxy_pass http://mock; }}
        location = /healthz {{ return 200 "ok"; }}
        location = /static {{ default_type application/json; return 200 '{static}'; }}
    }}
    server {{
        listen 127.0.0.1:{port_stream} backlog=4096;
        proxy_buffering off;
        location / {{ proxy_pass http://mock; }}
    }}
}}
"""

TARGETS = {
    "chat": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
    "gemini": "/v1beta/models/{model}:{verb}",
}

# What the end of a good body holds: (JSON, SSE).
ENDINGS = {
    "chat": ('"choices"', "data: [DONE]"),
    "anthropic": ('"content"', '"message_stop"'),
    # Behind its output stands all that was asked, tools too.
    "responses": ('"truncation"', "response.completed"),
    "gemini": ('"candidates"', '"finishReason"'),
}


def target_of(dialect, model, stream):
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return TARGETS[dialect].format(model=model, verb=verb)
