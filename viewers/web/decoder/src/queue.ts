/** Hands values from one loop to another, with room for a few. */
export class Queue<T> {
  private readonly values: T[] = [];
  private ended = false;
  private failure: { error: unknown } | undefined;
  private wake: (() => void)[] = [];

  constructor(private readonly room: number) {}

  /** Waits for room; false once nobody takes any more. */
  async put(value: T): Promise<boolean> {
    while (this.values.length >= this.room && !this.ended) await this.change();
    if (this.ended) return false;
    this.values.push(value);
    this.tell();
    return true;
  }

  /** The next value, or undefined at the end. What was put before a failure comes first. */
  async take(): Promise<T | undefined> {
    for (;;) {
      if (this.values.length) {
        const value = this.values.shift()!;
        this.tell();
        return value;
      }
      if (this.failure) throw this.failure.error;
      if (this.ended) return undefined;
      await this.change();
    }
  }

  end(): void {
    this.ended = true;
    this.tell();
  }

  fail(error: unknown): void {
    this.failure = { error };
    this.end();
  }

  private change(): Promise<void> {
    return new Promise((resolve) => this.wake.push(resolve));
  }

  private tell(): void {
    for (const resolve of this.wake.splice(0)) resolve();
  }
}
