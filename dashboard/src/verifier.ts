// The verifier's own chunk: loaded when something is checked for the first time.

import { load, verify } from "../../bindings/wasm/pkg/verifier.js";

void load(`${location.origin}/verifier.wasm`);

export { verify };
