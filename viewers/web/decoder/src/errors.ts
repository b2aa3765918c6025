/** The bytes are no valid `.press` file, or not of a kind that this decoder knows; the message says why. */
export class PressError extends Error {
  override name = "PressError";
}
