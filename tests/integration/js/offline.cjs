// Required before a program that knows no NO_PROXY: it finds no name but those of this machine.
const dns = require("node:dns");

const { lookup } = dns;
const here = new Set(["localhost", "127.0.0.1", "::1"]);

dns.lookup = (name, ...rest) => {
  if (here.has(name)) return lookup(name, ...rest);
  const error = new Error(`no way to ${name}`);
  return process.nextTick(rest.at(-1), Object.assign(error, { code: "ENOTFOUND" }));
};
