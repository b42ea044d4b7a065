// With a token only: what the document says needs one is refused without.

import { ask } from "./answers.mjs";

ask("required");
