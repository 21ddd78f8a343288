// Money, times and names for people.

/** Micro-USD as dollars. */
export function usd(micro: number, digits = 2): string {
  const value = micro / 1e6;
  const places = value !== 0 && Math.abs(value) < 0.01 ? 6 : digits;
  return `${value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: places })} $`;
}

/** Dollars as typed, in micro-USD; NaN for anything else. */
export function micro(text: string): number {
  return /^\d{1,9}(\.\d{1,6})?$/.test(text.trim()) ? Math.round(Number(text.trim()) * 1e6) : NaN;
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** The date on which a window began; stations' days begin at 05:00 UTC. */
export function day(second: number): string {
  return new Date(second * 1000).toISOString().slice(0, 10);
}

export function time(second: number): string {
  return `${new Date(second * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

export function ago(second: number, now: number): string {
  const passed = Math.max(0, now - second);
  if (passed < 90) return `${passed} s ago`;
  if (passed < 5400) return `${Math.round(passed / 60)} min ago`;
  if (passed < 129600) return `${Math.round(passed / 3600)} h ago`;
  return `${Math.round(passed / 86400)} days ago`;
}

export function bytes(size: number): string {
  return size < 10240 ? `${count(size)} B` : size < 10485760 ? `${Math.round(size / 1024)} KiB` : `${Math.round(size / 1048576)} MiB`;
}

export function percent(part: number, digits = 1): string {
  return `${(part * 100).toFixed(digits)} %`;
}

/** The words of a weather receipt for people; other models' words as they are. */
export function said(output: number[], classes: string[]): { label: string; frost: boolean | null } {
  const label = classes[output[0] ?? -1] ?? `output ${output.join(", ")}`;
  return { label, frost: output.length === 2 ? output[1] === 1 : null };
}

/** What a refusal means, by its name; the name itself stays what is stable. */
export function meaning(name: string): string {
  const known: Record<string, string> = {
    "inference.not-genuine": "The proof holds. It shows that the model did not call this day genuine, so it is not paid; nobody is blamed.",
    "receipt.cap-reached": "The buyer's units were used up before this receipt came.",
    "receipt.late": "The receipt came after the job's deadline.",
    "receipt.window-already-paid": "This window was paid before.",
    "receipt.replayed": "The same receipt was handed in before.",
    "receipt.device-signature": "The device's signature does not fit: somebody else's receipt, or changed bytes.",
    "receipt.wrong-window": "The window lies outside the job, or was not over yet.",
    "receipt.job-not-assigned": "The node was not drawn for this job.",
    "window.incomplete": "A gap in the station's own readings is too long. Nothing was proved.",
    "reference.missing": "A neighbour's readings have a gap. Nothing could be compared, so nothing was proved.",
    "owner.outside-hours": "Your limits: the node does not work at this hour.",
    "owner.windows-a-day": "Your limits: enough windows for today.",
    "owner.least-price": "Your limits: the job pays less than your least price.",
    "owner.no-grant": "No grant of yours covers this model and buyer.",
    "node.frozen": "The node is frozen after several faulty receipts in a row.",
  };
  const found = known[name];
  if (found) return found;
  if (name.startsWith("inference.proof.")) return "The proof does not show what the receipt claims.";
  if (name.startsWith("inference.not-")) return "The proof holds; the model's answer is not the one that is paid.";
  return "Refused by this rule.";
}
