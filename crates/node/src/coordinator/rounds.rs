//! The coordinator's checkers in a guarded market, round by round: they commit to a secret of the beacon, reveal it,
//! judge the receipts that they are drawn for, and vote on panels.
//!
//! A round runs only when something waits for it ([`State::awaits_beacon`]); an idle market writes no event. Whoever
//! hands something in waits for the rounds that decide about it: on a machine's clock it sleeps, a clock that stands is
//! moved on. Secrets follow from a seed in the key directory, so a crash loses none; what is due is read from the state
//! alone, so it forgets nothing either.
//!
//! All three checkers run in this process: the market's rules are those of checkers apart from each other, the trust is
//! that of one operator, as for the epochs that it posts.

use super::Coordinator;
use super::check::{Delivery, JUDGED_AT_ONCE, Shared, is_pending};
use crate::book::Book;
use crate::cores::shared_out;
use crate::engine::crash;
use crate::engine::keys::Keys;
use crate::fault::{Fault, Kind, Result};
use crate::wire::overview::GuardsDoc;
use proofmesh_market::guard::{Guarded, beacon_commitment};
use proofmesh_market::order::{BeaconCommit, Pledge};
use proofmesh_market::{
    AccountSecret, Address, Case, Check, Hash32, Reason, Signed, State, Usd, Verdict, What, check_delivered,
    examine_delivered, keccak,
};
use proofmesh_settle::Signer;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Keys of the checkers; a market without guards has the first alone.
const NAMES: [&str; proofmesh_market::guard::PANEL_MIN] = ["checker", "checker-2", "checker-3"];
/// Rounds that one request waits for at most: one whose secrets were committed to already is the next, a panel of the
/// sample takes one more.
const ROUNDS_MAX: u32 = 12;

/// Keys and secrets of the checkers.
pub(super) struct Checkers {
    accounts: Vec<AccountSecret>,
    seed: [u8; 32],
    /// Receipts that requests wait for, and what the service's check said of them.
    looked: Mutex<BTreeMap<Hash32, Looked>>,
}

/// A look at a receipt before its checker is drawn, on the thread of whoever hands it in: checks of many receipts run at
/// once, and the drawn checker signs what its own program found. Only what holds is kept: a receipt that fails may have
/// come before the seed that its challenge follows from, and is looked at again. Panels always look again.
#[derive(Clone, Copy, Default)]
struct Looked {
    units: Option<u64>,
    took_ms: f64,
}

/// A look that is forgotten when nobody waits any more.
struct Remembered<'a> {
    checkers: &'a Checkers,
    receipt: Hash32,
}

impl Drop for Remembered<'_> {
    fn drop(&mut self) {
        self.checkers.looked().remove(&self.receipt);
    }
}

/// A check that keeps what it said.
struct Keeping<'a> {
    check: &'a dyn Check,
    looked: Cell<Looked>,
}

impl Check for Keeping<'_> {
    fn check(&self, case: &Case<'_>) -> std::result::Result<u64, Reason> {
        let began = Instant::now();
        let said = self.check.check(case);
        let took_ms = began.elapsed().as_secs_f64() * 1_000.0;
        self.looked.set(Looked { units: said.as_ref().ok().copied(), took_ms });
        said
    }
}

/// What was said before.
struct Said(u64);

impl Check for Said {
    fn check(&self, _: &Case<'_>) -> std::result::Result<u64, Reason> {
        Ok(self.0)
    }
}

impl Checkers {
    pub(super) fn open(keys: &Keys) -> Result<Self> {
        let accounts = NAMES.iter().map(|name| keys.account(name)).collect::<Result<_>>()?;
        Ok(Checkers { accounts, seed: keys.seed("beacon")?, looked: Mutex::default() })
    }

    /// Their accounts.
    pub(super) fn addresses(&self) -> Vec<Address> {
        self.accounts.iter().map(AccountSecret::address).collect()
    }

    /// The one that judges where none is drawn, and measures.
    pub(super) fn first(&self) -> &AccountSecret {
        &self.accounts[0]
    }

    fn of(&self, address: &Address) -> Option<&AccountSecret> {
        self.accounts.iter().find(|account| account.address() == *address)
    }

    /// Keeps a look while its caller waits, however that ends.
    fn remember(&self, receipt: Hash32, looked: Looked) -> impl Drop + '_ {
        self.looked().insert(receipt, looked);
        Remembered { checkers: self, receipt }
    }

    fn looked(&self) -> MutexGuard<'_, BTreeMap<Hash32, Looked>> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn secret(&self, checker: &Address, round: u64) -> Hash32 {
        let tag = keccak(b"proofmesh/beacon-secret/v1");
        keccak(&[&tag.0[..], &self.seed, &checker.0, &round.to_be_bytes()].concat())
    }
}

/// A step that is due.
enum Due {
    /// Something that needs no check.
    Take(Box<What>),
    /// A first verdict.
    Judge(Hash32, Address),
    /// A vote of a panel.
    Vote(Hash32, Address),
}

impl Coordinator {
    /// Gives every checker the pledge that its seat needs: test money where there is some, else what is deposited for it.
    pub(super) async fn seat_checkers(&self, tell: &dyn Fn(&str)) -> Result<()> {
        let Some(want) = self.with_state(|state| state.guarded().map(|it| it.guards.checker_pledge)) else {
            return Ok(());
        };
        for checker in &self.checkers.accounts {
            let account = checker.address();
            let (pledge, balance) =
                self.with_state(|state| (state.pledge(&account), state.balance(&account)));
            let short = want.checked_sub(pledge).unwrap_or_default();
            if short.is_zero() {
                continue;
            }
            let missing = short.checked_sub(balance).unwrap_or_default();
            if !missing.is_zero() && self.settlement().profile().development {
                self.settlement().mint(&self.ground.governor, account, missing).await?;
                crash::point();
                let deposited = self.settlement().deposited(account).await?;
                let target = deposited.checked_add(missing).unwrap_or(deposited);
                self.settlement().deposit(&Signer::new(checker), target).await?;
                crash::point();
                self.sync_chain().await?;
            } else if !missing.is_zero() {
                tell(&format!("checker {account} has no seat until {missing} USD more are deposited for it"));
                continue;
            }
            let nonce = self.with_state(|state| {
                state.guarded().and_then(|it| it.nonces.get(&account).copied()).unwrap_or_default()
            });
            let order = Pledge { account, total: want, nonce };
            self.take(What::Pledged(Signed::new(order, &self.domain(), checker)?))?;
            crash::point();
        }
        Ok(())
    }

    /// Goes on, round by round, until something is so or nothing more would come of waiting.
    ///
    /// # Errors
    /// The disk's; `blob.missing`.
    pub(super) async fn rounds_until(&self, is_so: impl Fn(&State) -> bool) -> Result<()> {
        self.rounds(false, |book| is_so(book.state())).await
    }

    /// Looks at a receipt, and goes on until it is judged. Gives the milliseconds of the look.
    ///
    /// # Errors
    /// As [`Self::rounds_until`].
    pub(super) async fn judged(&self, receipt: &Hash32) -> Result<f64> {
        if !self.with_state(|state| is_pending(state, receipt)) {
            return Ok(0.0); // refused at the door
        }
        let looked = tokio::task::block_in_place(|| self.look(receipt))?;
        let _forgotten = self.checkers.remember(*receipt, looked);
        self.rounds_until(|state| !is_pending(state, receipt)).await?;
        Ok(looked.took_ms)
    }

    /// Runs the service's check of a receipt, as far as its form lets it come to that.
    fn look(&self, receipt: &Hash32) -> Result<Looked> {
        let Delivery { digest, job, signed, evidence } = self.delivery(receipt)?;
        let (shared, began) = (self.shared([]), Instant::now());
        let looked = self.with_service(&job.service, &shared, |check| {
            let keeping = Keeping { check, looked: Cell::default() };
            let _said = examine_delivered(&self.domain(), &job, (&digest, &signed), &evidence, &keeping);
            Ok(keeping.looked.get())
        })?;
        crate::monitor::checked(receipt, began);
        Ok(looked)
    }

    /// The public seed that came first at or after a second that is over. One that nothing in the log waits for is drawn now
    /// if it is `wanted` by somebody who may write: drawing it is events.
    ///
    /// # Errors
    /// `seed.not-yet`.
    pub async fn seed(&self, at_s: u64, wanted: bool) -> Result<Hash32> {
        let now_s = self.time.now_s();
        if at_s <= now_s {
            self.rounds(wanted, |book| book.seeds().after(at_s).is_some()).await?;
        }
        let words = self.book().seeds().after(at_s).copied();
        let words = words.ok_or_else(|| {
            let expected = "a second that is over, and a round of the beacon or an epoch since";
            Fault::refused("seed.not-yet", expected, format_args!("{at_s}, and it is {now_s}"))
        })?;
        let mut seed = [0; 32];
        for (bytes, word) in seed.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        Ok(Hash32(seed))
    }

    /// Rounds until something is so. `wanted`: somebody needs a value, even if nothing in the log waits for one.
    async fn rounds(&self, wanted: bool, is_so: impl Fn(&Book) -> bool) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            tokio::task::block_in_place(|| self.beat(|book| wanted && !is_so(book)))?;
            let end_s = self.round_wanted(wanted, &is_so);
            let Some(end_s) = end_s else { return Ok(()) };
            self.time.wait_until(end_s).await;
        }
        Ok(())
    }

    /// When the round ends that something waits for; `None` when there is nothing to wait for.
    fn round_wanted(&self, wanted: bool, is_so: impl Fn(&Book) -> bool) -> Option<u64> {
        let book = self.book();
        let state = book.state();
        let guarded = state.guarded().filter(|_| !is_so(&book))?;
        let now_s = self.time.now_s();
        let pledge = guarded.guards.checker_pledge;
        let seated = self.checkers.addresses().iter().any(|checker| state.pledge(checker) >= pledge);
        let waits = seated && (wanted || state.awaits_beacon(now_s));
        waits.then(|| guarded.round_end_s(guarded.round(now_s)))
    }

    /// Takes every step that is due now, until none is.
    fn beat(&self, wanted: impl Fn(&Book) -> bool) -> Result<()> {
        let _one_at_a_time = self.beating.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let before = self.with_state(State::events);
            let due = {
                let book = self.book();
                let guarded = book.state().guarded();
                guarded.map(|guarded| self.due(book.state(), guarded, wanted(&book)))
            };
            for some in due.unwrap_or_default().chunks(JUDGED_AT_ONCE) {
                let steps = shared_out(some, |share| self.steps_of(share));
                let steps = steps.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>>>()?;
                // What another has decided meanwhile is refused, and left.
                let taken = self.take_many(steps)?;
                let unlike_refused = |fault: &Fault| fault.kind != Kind::Refused;
                if let Some(fault) = taken.into_iter().filter_map(Result::err).find(unlike_refused) {
                    return Err(fault);
                }
                crash::point();
            }
            if self.with_state(State::events) == before {
                return Ok(());
            }
        }
    }

    fn due(&self, state: &State, guarded: &Guarded, wanted: bool) -> Vec<Due> {
        let now_s = self.time.now_s().max(state.now_s());
        let round = guarded.round(now_s);
        let mut due = Vec::new();
        for (of, commitments) in guarded.beacon.commitments.range(..round) {
            let secrets = guarded.beacon.secrets.get(of);
            let known = |checker: &Address| secrets.is_some_and(|secrets| secrets.contains_key(checker));
            for checker in commitments.keys().filter(|checker| !known(checker)) {
                if self.checkers.of(checker).is_some() {
                    let secret = self.checkers.secret(checker, *of);
                    due.push(Due::Take(Box::new(What::BeaconRevealed {
                        checker: *checker,
                        round: *of,
                        secret,
                    })));
                }
            }
            due.push(Due::Take(Box::new(What::BeaconClosed { round: *of })));
        }
        for (receipt, drawn) in &guarded.drawn {
            let turns = now_s.saturating_sub(drawn.at_s) / guarded.guards.reveal_s; // above zero: guards.span
            let turns = usize::try_from(turns).unwrap_or(usize::MAX).saturating_add(1);
            let mine = drawn.checkers.iter().take(turns).find(|checker| self.checkers.of(checker).is_some());
            let waits = !guarded.panels.contains_key(receipt);
            due.extend(mine.filter(|_| waits).map(|checker| Due::Judge(*receipt, *checker)));
        }
        for (receipt, panel) in &guarded.panels {
            let missing = panel.seats.iter().filter(|seat| !panel.votes.contains_key(seat));
            let mine = missing.filter(|seat| self.checkers.of(seat).is_some());
            due.extend(mine.map(|seat| Due::Vote(*receipt, *seat)));
            let resolve_s = state.rules().map_or(u64::MAX, |rules| rules.resolve_s);
            if now_s >= panel.opened_s.saturating_add(resolve_s) {
                due.push(Due::Take(Box::new(What::PanelLapsed { receipt: *receipt })));
            }
        }
        if wanted || state.awaits_beacon(now_s) {
            let next = guarded.beacon.commitments.get(&(round + 1)); // far below 2^64: seconds
            for checker in &self.checkers.accounts {
                let address = checker.address();
                let committed = next.is_some_and(|known| known.contains_key(&address));
                if committed || state.pledge(&address) < guarded.guards.checker_pledge {
                    continue;
                }
                let secret = self.checkers.secret(&address, round + 1);
                let commitment = beacon_commitment(&address, round + 1, &secret);
                let order = BeaconCommit { checker: address, round: round + 1, commitment };
                let signed = Signed::new(order, &self.domain(), checker);
                due.extend(signed.ok().map(|order| Due::Take(Box::new(What::BeaconCommitted(order)))));
            }
        }
        due
    }

    /// What steps that are due bring into the log; `None` when a step's checker is another's.
    fn steps_of(&self, due: &[Due]) -> Vec<Result<Option<What>>> {
        let about = |step: &Due| match step {
            Due::Judge(receipt, _) | Due::Vote(receipt, _) => Some(*receipt),
            Due::Take(_) => None,
        };
        let receipts: Vec<Hash32> =
            due.iter().filter_map(about).collect::<BTreeSet<_>>().into_iter().collect();
        let deliveries = self.deliveries(&receipts);
        let deliveries: BTreeMap<Hash32, Result<Delivery>> = receipts.into_iter().zip(deliveries).collect();
        let shared = self.shared(deliveries.values().flatten());
        let of = |receipt: &Hash32| match deliveries.get(receipt) {
            Some(Ok(delivery)) => Ok(delivery),
            Some(Err(fault)) => Err(fault.clone()),
            None => Err(Fault::trouble("receipt.unknown", "a delivered receipt", receipt)),
        };
        let step = |due: &Due| {
            Ok(match due {
                Due::Take(what) => Some(What::clone(what)),
                Due::Judge(receipt, checker) => match self.checkers.of(checker) {
                    Some(checker) => {
                        Some(What::Judged(self.judge_drawn(receipt, of(receipt)?, &shared, checker)?))
                    }
                    None => None,
                },
                Due::Vote(receipt, checker) => match self.checkers.of(checker) {
                    // By a check of its own.
                    Some(checker) => Some(What::PanelVoted(self.verdict(of(receipt)?, &shared, checker)?)),
                    None => None,
                },
            })
        };
        due.iter().map(step).collect()
    }

    /// The drawn checker's verdict about a receipt.
    fn judge_drawn(
        &self,
        receipt: &Hash32,
        delivery: &Delivery,
        shared: &Shared,
        checker: &AccountSecret,
    ) -> Result<Verdict> {
        let units = self.checkers.looked().get(receipt).and_then(|looked| looked.units);
        let Some(units) = units else { return self.verdict(delivery, shared, checker) };
        let Delivery { digest, job, signed, evidence } = delivery;
        Ok(check_delivered(&self.domain(), job, (digest, signed), evidence, &Said(units), checker))
    }

    /// What the guards are and remember.
    ///
    /// # Errors
    /// `guards.unknown` in a market without them.
    pub fn guards(&self) -> Result<GuardsDoc> {
        let doc = self.with_state(|state| state.guarded().map(|it| GuardsDoc::of(state, it)));
        doc.ok_or_else(|| Fault::refused("guards.unknown", "a market with guards", "one without"))
    }

    /// A device gets its maker's certificate; the governor is the maker of a market's own.
    pub(super) fn certify(&self, device: proofmesh_market::Device) -> Result<()> {
        let maker = self.ground.governor.account();
        let wanted = self.with_state(|state| {
            state.guarded().is_some_and(|it| it.guards.makers.contains(&maker) && !it.counts(&device))
        });
        if !wanted {
            return Ok(());
        }
        let order = proofmesh_market::order::Certify { maker, device };
        self.take(What::DeviceCertified(Signed::new(order, &self.domain(), &self.maker)?)).map(drop)
    }
}

/// Test money that the seats of a new market took.
#[must_use]
pub fn seats_cost(pledge: Usd) -> Usd {
    pledge.checked_mul(NAMES.len() as u64).unwrap_or_default()
}
