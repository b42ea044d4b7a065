// Where a token is not always needed.

import { ask } from "./answers.mjs";

ask("optional");
