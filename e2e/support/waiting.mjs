// Waiting for a condition, never for a while: every wait has a deadline and says what it waited for.

const POLL_MS = 20;

/** How long a scene waits for what should happen at once. Generous, because the machine may be busy. */
export const SOON_MS = 10_000;

const told = (what) => (typeof what === "function" ? what() : what);

/**
 * Resolves with the first truthy answer of `condition` (which may be async), or fails after `ms`.
 * `what` may be a function, asked only when it is too late; so too in `within`.
 */
export async function until(what, condition, ms = SOON_MS) {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${ms} ms in vain for ${told(what)}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** `promise`, but no later than `ms`. */
export function within(ms, what, promise) {
  let timer;
  const tooLate = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`waited ${ms} ms in vain for ${told(what)}`));
    }, ms);
  });
  return Promise.race([promise, tooLate]).finally(() => clearTimeout(timer));
}
