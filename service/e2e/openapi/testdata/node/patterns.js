// Compiles each pattern of an OpenAPI document, since JSON Schema's regular expressions
// are JavaScript's, and the API's are Go's.
"use strict";

const document = require("node:fs").readFileSync(process.argv[2]);
JSON.parse(document, (name, value) => (name === "pattern" ? new RegExp(value, "u") : value));
