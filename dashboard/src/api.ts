// The API's documents, generated from crates/node by `cargo xtask bless`. Hashes, accounts and bytes are
// 0x text, devices did:key:, money is micro-USD, times are Unix seconds.

export interface AccountDoc {
  account: string;
  balance: number;
  cumulative: number;
  withdrawal_nonce: number;
}

export type Assurance = "None" | "Sampled" | "Optimistic" | "Proof";

export interface AuditDoc {
  events: number;
  log_hash: string;
  receipts: number;
  verdicts: number;
  epochs: number;
  unposted: number;
  deposited: number;
  claimed: number;
  torn_bytes: number;
  guards: GuardAuditDoc | null;
}

export interface BalanceDoc {
  epoch: number;
  account: string;
  cumulative: number;
  proof: string[];
}

export interface BudgetDoc {
  spend_a_day: number;
}

export interface BuyerDoc {
  account: AccountDoc;
  claimed: number;
  spend_a_day: number;
  spent_today: number;
  jobs: JobDoc[];
}

export interface ChainEpochDoc {
  epoch: Epoch;
  posted_s: number;
  is_final: boolean;
  chain_id: number;
  settlement: string;
}

export interface ChainRef {
  tx: string;
  log_index: number;
}

export interface ClaimDoc {
  account: string;
  epoch: number;
  cumulative: number;
  paid: number;
  gas: number;
}

export interface ClosedDoc {
  epoch: Epoch;
  receipts: number;
  gas: number;
  tx: string | null;
}

export interface DeployParams {
  salt: number;
  poster: string;
  auditor: string;
  governor: string;
  challenge_window_s: number;
  response_time_s: number;
  poster_bond: number;
  challenge_bond: number;
  unbonding_delay_s: number;
  verifier_delay_s: number;
}

export interface Deployment {
  chain_id: number;
  first_block: number;
  token: string;
  registry: string;
  settlement: string;
  transitions: string;
  delivery: string;
  stake: string;
  cover: string;
  params: DeployParams;
}

export interface Domain {
  chain_id: number;
  settlement: string;
}

export interface DoneDoc {
  done: boolean;
}

export interface EconomicsDoc {
  fee_ppm: number;
  payouts: PayoutDoc[];
  prices: PriceDoc[];
  refusals: [string, number][];
  deposited: number;
  claimed: number;
  burned: number;
  stakes: number;
  poster_bond: number;
  vault: number;
  covers_paid: number;
}

export interface Entry {
  at_s: number;
  job: string;
  window_start_s: number;
  outcome: string;
  reason: ReasonDoc | null;
  receipt: string | null;
  prove_ms: number;
}

export interface Epoch {
  number: number;
  balances_root: string;
  receipts_root: string;
  log_hash: string;
  total: number;
}

export interface EpochDoc {
  epoch: Epoch;
  posted: ChainRef | null;
  receipts: string[];
  balances: [string, number][];
}

export interface EpochsDoc {
  count: number;
  epochs: EpochDoc[];
}

export interface Fault {
  kind: Kind;
  name: string;
  expected: string;
  got: string;
}

export interface FeedDoc {
  word_bytes: number;
  rows: FeedRow[];
}

export interface FeedRow {
  device: string;
  start_s: number;
  words: number[];
}

export interface Grant {
  id: number;
  model: string | null;
  buyer: string | null;
  purpose: string;
  given_s: number;
  until_s: number | null;
  withdrawn_s: number | null;
}

export interface GrantDoc {
  model: string | null;
  buyer: string | null;
  purpose: string;
  until_s: number | null;
}

export interface GuardAuditDoc {
  rounds: number;
  votes: number;
  lapsed: number;
  caught: number;
}

export interface IdDoc {
  id: string;
}

export interface InputDoc {
  commitment: string;
  public: number[];
}

export interface Job {
  buyer: string;
  salt: string;
  service: string;
  model: string;
  input: string;
  unit_price: number;
  max_units: number;
  window_from_s: number;
  window_until_s: number;
  deadline_s: number;
  assurance: Assurance;
  slots: number;
  cell: number;
  devices: string[];
  terms: number[];
}

export interface JobDoc {
  id: string;
  job: Job;
  status: string;
  nodes: string[];
  units: number;
  escrow: number;
  pending: number;
}

export interface Journal {
  busy_ms: number;
  proved: number;
  day: number;
  today: number;
  entries: Entry[];
}

export type Kind = "refused" | "misuse" | "trouble";

export interface Limits {
  from_hour: number;
  until_hour: number;
  cpu_share_pct: number;
  windows_a_day: number;
  least_price: number;
  practice: boolean;
  watts: number;
  price_kwh: number;
}

export interface MemberDoc {
  node: NodeDoc;
  devices: PlacedDevice[];
  paid: number;
  refused: number;
  pending: number;
  earned: number;
  last_s: number | null;
}

export interface ModelDoc {
  id: string;
  name: string;
  task: string;
  classes: string[];
  source_file: string;
  source_hash: string;
  input_shape: number[];
  private_words: number;
  public_words: number;
  output_words: number;
  parameters: number;
  multiply_adds: number;
  operators: [string, number][];
  tensors: TensorDoc[];
  calibration_rows: number;
  calibration_error: number;
  calibration_agreement: number;
  prove_ms: number;
  proof_bytes: number;
  peak_bytes: number;
  soundness_bits: number;
  jobs: number;
  said: number[];
  notes: string[];
}

export interface MoneyDoc {
  deposited: number;
  balances: number;
  escrow: number;
  held: number;
  bonds: number;
  claims: number;
  vault: number;
  conserved: boolean;
}

export interface NewsDoc {
  events: number;
  now_s: number;
}

export interface NodeDoc {
  node: string;
  operator: string;
  nonce: number;
  stake: number;
  standing: string;
  strikes: number;
  next_sequence: number;
  head: string;
  capabilities: [string, number][];
}

export interface OwnDoc {
  nodes: OwnNodeDoc[];
  buyer: BuyerDoc;
  development: boolean;
}

export interface OwnNodeDoc {
  name: string;
  station: string;
  account: string;
  device: string;
  node: NodeDoc | null;
  limits: Limits;
  grants: Grant[];
  journal: Journal;
  earned: number;
  waiting: number;
  claimed: number;
  power: number;
  refused: ReceiptDoc[];
}

export interface PassTimeDoc {
  seconds: number;
}

export interface PayoutDoc {
  epoch: number;
  receipts: number;
  shares: number;
  fees: number;
  total: number;
}

export interface PlacedDevice {
  device: string;
  cell: number;
}

export interface PriceDoc {
  job: string;
  model: string;
  buyer: string;
  deadline_s: number;
  unit_price: number;
  units: number;
  max_units: number;
}

export interface QuoteDoc {
  escrow: number;
  suggested: number;
  node_share: number;
  fee: number;
  days_with_reference: number;
  nodes: number;
  spendable: number;
  budget_left: number;
}

export interface ReasonDoc {
  name: string;
  expected: string;
  got: string;
}

export interface ReceiptDoc {
  digest: string;
  at_s: number;
  status: string;
  reason: ReasonDoc | null;
  share: number;
  fee: number;
  epoch: number | null;
  job: string;
  node: string;
  device: string;
  sequence: number;
  window_start_s: number;
  output: number[];
  evidence: string;
  wire: string;
}

export interface ReceiptProofDoc {
  epoch: number;
  digest: string;
  wire: string;
  proof: string[];
}

export interface Rules {
  domain: Domain;
  vault: string;
  fee_ppm: number;
  checkers: string[];
  min_stake: number;
  freeze_after: number;
  freeze_s: number;
  penalty: number;
  bond: number;
  dispute_window_s: number;
  resolve_s: number;
  judge_s: number;
}

export interface StatementDoc {
  model: string;
  weights: string | null;
  inputs: InputDoc[];
  outputs: number[][];
  batch_outputs: number[];
  context: string;
}

export interface StatusDoc {
  domain: Domain;
  deployment: Deployment;
  rpc: string | null;
  now_s: number;
  events: number;
  log_hash: string;
  rules: Rules;
  models: string[];
  wrappable: string[];
  epochs: number;
  posted: number;
  money: MoneyDoc;
}

export interface TensorDoc {
  name: string;
  shape: number[];
  bits: number;
  weight_bits: number;
  clipped: number;
}

export interface UpDoc {
  api: string;
  rpc: string | null;
  pid: number;
  page: string;
}

export interface WantedDoc {
  device: string;
  station: string;
  model: string;
  from: string;
  days: number;
  unit_price: number;
  open_hours: number;
}
