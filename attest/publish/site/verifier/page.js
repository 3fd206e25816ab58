import { verify } from "./verifier.js";
window.attest = { verify };
