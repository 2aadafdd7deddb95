--- Media types and file names.

return {
  by_extension = {
    png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif",
    webp = "image/webp", heic = "image/heic", heif = "image/heif", bmp = "image/bmp",
    svg = "image/svg+xml", pdf = "application/pdf", txt = "text/plain", md = "text/markdown",
    csv = "text/csv", html = "text/html", htm = "text/html", css = "text/css",
    xml = "text/xml", json = "application/json", js = "text/javascript", py = "text/x-python",
    c = "text/plain", h = "text/plain", lua = "text/plain", rtf = "text/rtf",
    wav = "audio/wav", mp3 = "audio/mpeg", ogg = "audio/ogg", oga = "audio/ogg",
    flac = "audio/flac", aac = "audio/aac", m4a = "audio/aac", mp4 = "video/mp4",
    webm = "video/webm", mov = "video/quicktime", mpeg = "video/mpeg", mpg = "video/mpeg",
    docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    pptx = "application/vnd.openxmlformats-officedocument.presentationml.presentation",
  },

  extensions = {
    ["image/png"] = "png", ["image/jpeg"] = "jpg", ["image/gif"] = "gif", ["image/webp"] = "webp",
    ["application/pdf"] = "pdf", ["text/plain"] = "txt", ["text/markdown"] = "md",
    ["text/csv"] = "csv", ["text/html"] = "html", ["application/json"] = "json",
    ["text/xml"] = "xml", ["audio/wav"] = "wav", ["audio/mpeg"] = "mp3", ["video/mp4"] = "mp4",
  },

  -- Names that mean another type.
  aliases = {
    ["image/jpg"] = "image/jpeg", ["audio/mp3"] = "audio/mpeg", ["audio/x-wav"] = "audio/wav",
    ["audio/wave"] = "audio/wav",
  },

  -- OpenAI's audio formats.
  audio = {
    wav = "audio/wav", mp3 = "audio/mpeg", ogg = "audio/ogg", opus = "audio/ogg",
    flac = "audio/flac", aac = "audio/aac", webm = "audio/webm", pcm16 = "audio/pcm",
    pcm = "audio/pcm", g711_ulaw = "audio/basic", g711_alaw = "audio/basic",
  },

  -- Beginnings of files in base64.
  magic = {
    { "iVBORw0", "image/png" }, { "/9j/", "image/jpeg" }, { "R0lGOD", "image/gif" },
    { "JVBERi", "application/pdf" }, { "Qk", "image/bmp" }, { "T2dnU", "audio/ogg" },
    { "ZkxhQ", "audio/flac" }, { "SUQz", "audio/mpeg" },
  },
}
