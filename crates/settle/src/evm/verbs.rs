//! The verbs, one after the other. Each changing verb is "look, and send if needed", repeated while other transactions take the nonce.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider;
use async_trait::async_trait;

use super::abi::{Bonds, Books, Frost, Roll, Terms, Token};
use super::send::rpc;
use super::{ATTEMPTS, Evm, events, money, nonce_taken};
use crate::*;

/// `reach!(self, by, look, to, call)`: answers `Already` if `look` is true, else sends `call` to `to`; again if the nonce went elsewhere.
macro_rules! reach {
    ($self:ident, $by:expr, $look:expr, $to:expr, $call:expr) => {{
        for _ in 0..=ATTEMPTS {
            if $look {
                return Ok(Outcome::Already);
            }
            if let Some(outcome) = $self.transact($by, $to, $call).await? {
                return Ok(outcome);
            }
        }
        Err(nonce_taken($by))
    }};
}

/// Status byte of a registered and unrevoked thing.
const ACTIVE: u8 = 1;

fn hashes(proof: &[Hash]) -> Vec<B256> {
    proof.iter().map(Into::into).collect()
}

fn conflict(what: String, expected: &impl std::fmt::Debug, found: &impl std::fmt::Debug) -> SettleError {
    SettleError::Conflict { what, expected: format!("{expected:?}"), found: format!("{found:?}") }
}

impl<P: Provider> Evm<P> {
    async fn challenge_open(&self, epoch: u64, digest: Hash) -> Result<bool> {
        let posted = self.sender.view(self.books, Books::epochsCall { epoch }).await?;
        let call = Books::challengeOfCall { post: posted.post, digest: digest.into() };
        let found = self.sender.view(self.books, call).await?;
        // Rolled back or never posted: nothing is open there.
        Ok(posted.post != 0 && found.deadline != 0)
    }

    async fn counted(&self, id: Hash, report: &CoverReport) -> Result<bool> {
        let Some(cover) = self.cover(id).await? else { return Ok(false) };
        let Some(station) = cover.stations.iter().position(|s| *s == report.receipt.device) else {
            return Ok(false);
        };
        let Some(second) = report.receipt.window_start.checked_sub(cover.start) else { return Ok(false) };
        Ok(second % 86_400 == 0 && self.cover_day(id, second / 86_400).await?[station])
    }
}

#[async_trait]
impl<P: Provider> Settlement for Evm<P> {
    fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    fn profile(&self) -> &ChainProfile {
        self.sender.profile()
    }

    async fn now(&self) -> Result<u64> {
        let block = self.sender.provider().get_block_by_number(Default::default()).await.map_err(rpc)?;
        let block = block.ok_or_else(|| rpc("the chain has no newest block"))?;
        Ok(block.header.timestamp)
    }

    async fn pass_time(&self, seconds: u64) -> Result<()> {
        if !self.sender.profile().development {
            return Err(SettleError::Unsupported("passing time"));
        }
        let client = self.sender.provider().client();
        let _: serde_json::Value = client.request("evm_increaseTime", (seconds,)).await.map_err(rpc)?;
        let _: serde_json::Value = client.request("evm_mine", ()).await.map_err(rpc)?;
        Ok(())
    }

    async fn balance_of(&self, account: Account) -> Result<u64> {
        money(self.sender.view(self.token, Token::balanceOfCall { owner: account.into() }).await?)
    }

    async fn mint(&self, by: &Signer, to: Account, balance: u64) -> Result<Outcome> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.balance_of(to).await?;
                have >= balance
            },
            self.token,
            Token::mintCall { to: to.into(), amount: U256::from(balance - have) }
        )
    }

    async fn deposit(&self, by: &Signer, cumulative: u64) -> Result<Outcome> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.deposited(by.account()).await?;
                if have < cumulative {
                    self.allow(by, self.books, cumulative - have).await?;
                }
                have >= cumulative
            },
            self.books,
            Books::depositCall { amount: U256::from(cumulative - have) }
        )
    }

    async fn deposited(&self, account: Account) -> Result<u64> {
        let found = self.sender.view(self.books, Books::accountsCall { account: account.into() }).await?;
        money(found.deposited)
    }

    async fn total_deposits(&self) -> Result<u64> {
        money(self.sender.view(self.books, Books::totalDepositsCall {}).await?)
    }

    async fn bond_poster(&self, by: &Signer, bond: u64) -> Result<Outcome> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.poster_bond().await?;
                if have < bond {
                    self.allow(by, self.books, bond - have).await?;
                }
                have >= bond
            },
            self.books,
            Books::bondPosterCall { amount: U256::from(bond - have) }
        )
    }

    async fn unbond_poster(&self, by: &Signer, bond: u64) -> Result<Outcome> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.poster_bond().await?;
                have <= bond
            },
            self.books,
            Books::unbondPosterCall { amount: U256::from(have - bond) }
        )
    }

    async fn poster_bond(&self) -> Result<u64> {
        money(self.sender.view(self.books, Books::posterBondCall {}).await?)
    }

    async fn post_epoch(&self, by: &Signer, roots: &EpochRoots) -> Result<Outcome> {
        reach!(
            self,
            by,
            match self.epoch(roots.epoch).await? {
                Some(found) if found.roots == *roots => true,
                Some(found) => {
                    return Err(conflict(format!("epoch {}", roots.epoch), roots, &found.roots));
                }
                None => false,
            },
            self.books,
            Books::postEpochCall {
                epoch: roots.epoch,
                balancesRoot: roots.balances_root.into(),
                receiptsRoot: roots.receipts_root.into(),
                logHash: roots.log_hash.into(),
                total: U256::from(roots.total),
            }
        )
    }

    async fn epoch(&self, epoch: u64) -> Result<Option<PostedEpoch>> {
        let e = self.sender.view(self.books, Books::epochsCall { epoch }).await?;
        if e.post == 0 {
            return Ok(None);
        }
        let roots = EpochRoots {
            epoch,
            balances_root: e.balancesRoot.0,
            receipts_root: e.receiptsRoot.0,
            log_hash: e.logHash.0,
            total: money(e.total)?,
        };
        Ok(Some(PostedEpoch { roots, posted_at: e.postedAt, is_final: self.is_final(epoch).await? }))
    }

    async fn latest_epoch(&self) -> Result<u64> {
        self.sender.view(self.books, Books::latestEpochCall {}).await
    }

    async fn is_final(&self, epoch: u64) -> Result<bool> {
        self.sender.view(self.books, Books::isFinalCall { epoch }).await
    }

    async fn claim(&self, by: &Signer, account: Account, cumulative: u64, proof: &[Hash]) -> Result<Outcome> {
        let call = Books::claimCall {
            account: account.into(),
            cumulative: U256::from(cumulative),
            proof: hashes(proof),
        };
        reach!(self, by, self.claimed(account).await? >= cumulative, self.books, call.clone())
    }

    async fn claimed(&self, account: Account) -> Result<u64> {
        let found = self.sender.view(self.books, Books::accountsCall { account: account.into() }).await?;
        money(found.claimed)
    }

    async fn is_settled_receipt(&self, digest: Hash, epoch: u64, proof: &[Hash]) -> Result<bool> {
        let call = Books::isSettledReceiptCall { digest: digest.into(), epoch, proof: hashes(proof) };
        self.sender.view(self.books, call).await
    }

    async fn receipt_digest(&self, receipt: &Receipt) -> Result<Hash> {
        let call = Books::receiptDigestCall { receipt: receipt.into() };
        Ok(self.sender.view(self.books, call).await?.0)
    }

    async fn veto(&self, by: &Signer, epoch: u64) -> Result<Outcome> {
        reach!(self, by, self.epoch(epoch).await?.is_none(), self.books, Books::vetoCall { epoch })
    }

    async fn challenge(&self, by: &Signer, epoch: u64, receipt: &Receipt, proof: &[Hash]) -> Result<Outcome> {
        let digest = self.receipt_digest(receipt).await?;
        let call = Books::challengeCall { epoch, receipt: receipt.into(), proof: hashes(proof) };
        reach!(
            self,
            by,
            {
                let open = self.challenge_open(epoch, digest).await?;
                if !open {
                    self.allow(by, self.books, self.deployment.params.challenge_bond).await?;
                }
                open
            },
            self.books,
            call.clone()
        )
    }

    async fn answer(&self, by: &Signer, epoch: u64, receipt: &Receipt, proof: &[u8]) -> Result<Outcome> {
        let digest = self.receipt_digest(receipt).await?;
        let proof = Bytes::copy_from_slice(proof);
        let call = Books::answerCall { epoch, receipt: receipt.into(), proof };
        reach!(self, by, !self.challenge_open(epoch, digest).await?, self.books, call.clone())
    }

    async fn resolve(&self, by: &Signer, epoch: u64, digest: Hash) -> Result<Outcome> {
        let call = Books::resolveCall { epoch, digest: digest.into() };
        reach!(self, by, !self.challenge_open(epoch, digest).await?, self.books, call.clone())
    }

    async fn open_exit(&self, by: &Signer) -> Result<Outcome> {
        reach!(
            self,
            by,
            self.sender.view(self.books, Books::exitOpenCall {}).await?,
            self.books,
            Books::openExitCall {}
        )
    }

    async fn exit(&self, by: &Signer, account: Account) -> Result<Outcome> {
        let account = Address::from(account);
        reach!(
            self,
            by,
            self.sender.view(self.books, Books::freshCall { account }).await?.exited,
            self.books,
            Books::exitCall { account }
        )
    }

    async fn exit_amount(&self, account: Account) -> Result<u64> {
        money(self.sender.view(self.books, Books::exitAmountCall { account: account.into() }).await?)
    }

    async fn set_roles(&self, by: &Signer, account: Account, roles: Roles) -> Result<Outcome> {
        let account = Address::from(account);
        let bits = u8::from(roles.maker) | u8::from(roles.publisher) << 1;
        reach!(
            self,
            by,
            self.sender.view(self.roll, Roll::rolesCall { account }).await? == bits,
            self.roll,
            Roll::setRolesCall { account, bits }
        )
    }

    async fn set_verifier(&self, by: &Signer, class: u32, verifier: Account) -> Result<Outcome> {
        let verifier = Address::from(verifier);
        reach!(
            self,
            by,
            self.sender.view(self.roll, Roll::verifiersCall { class }).await? == verifier,
            self.roll,
            Roll::setVerifierCall { class, verifier }
        )
    }

    async fn register_node(&self, by: &Signer, operator: Account) -> Result<Outcome> {
        reach!(
            self,
            by,
            match self.node(by.account()).await? {
                Some(n) if n.operator == operator && n.active => true,
                Some(n) => return Err(conflict(format!("node {}", by.address()), &operator, &n)),
                None => false,
            },
            self.roll,
            Roll::registerNodeCall { operator: operator.into() }
        )
    }

    async fn retire_node(&self, by: &Signer, node: Account) -> Result<Outcome> {
        reach!(
            self,
            by,
            self.node(node).await?.is_some_and(|n| !n.active),
            self.roll,
            Roll::retireNodeCall { node_: node.into() }
        )
    }

    async fn node(&self, node: Account) -> Result<Option<Node>> {
        let n = self.sender.view(self.roll, Roll::nodeCall { node_: node.into() }).await?;
        let node = Node { operator: n.operator.into_array(), since: n.since, active: n.status == ACTIVE };
        Ok((n.status != 0).then_some(node))
    }

    async fn enrol_device(&self, by: &Signer, key: Hash, owner: Account, cell: u64) -> Result<Outcome> {
        reach!(
            self,
            by,
            match self.device(key).await? {
                Some(d) if d.owner == owner && d.cell == cell && d.active => true,
                Some(d) => {
                    let what = format!("device {}", B256::from(key));
                    return Err(conflict(what, &(owner, cell), &d));
                }
                None => false,
            },
            self.roll,
            Roll::enrolDeviceCall { key: key.into(), owner: owner.into(), cell }
        )
    }

    async fn transfer_device(&self, by: &Signer, key: Hash, owner: Account) -> Result<Outcome> {
        reach!(
            self,
            by,
            self.device(key).await?.is_some_and(|d| d.owner == owner),
            self.roll,
            Roll::transferDeviceCall { key: key.into(), owner: owner.into() }
        )
    }

    async fn revoke_device(&self, by: &Signer, key: Hash) -> Result<Outcome> {
        reach!(
            self,
            by,
            self.device(key).await?.is_some_and(|d| !d.active),
            self.roll,
            Roll::revokeDeviceCall { key: key.into() }
        )
    }

    async fn device(&self, key: Hash) -> Result<Option<Device>> {
        let d = self.sender.view(self.roll, Roll::deviceCall { key: key.into() }).await?;
        let device = Device {
            owner: d.owner.into_array(),
            cell: d.cell,
            maker: d.maker.to(),
            active: d.status == ACTIVE,
        };
        Ok((d.status != 0).then_some(device))
    }

    async fn register_model(
        &self,
        by: &Signer,
        id: Hash,
        program: Hash,
        verifier_class: u32,
    ) -> Result<Outcome> {
        let wanted = Model { program, verifier_class, publisher: by.account(), active: true };
        reach!(
            self,
            by,
            match self.model(id).await? {
                Some(m) if m == wanted => true,
                Some(m) => return Err(conflict(format!("model {}", B256::from(id)), &wanted, &m)),
                None => false,
            },
            self.roll,
            Roll::registerModelCall { id: id.into(), program: program.into(), verifierClass: verifier_class }
        )
    }

    async fn revoke_model(&self, by: &Signer, id: Hash) -> Result<Outcome> {
        reach!(
            self,
            by,
            self.model(id).await?.is_some_and(|m| !m.active),
            self.roll,
            Roll::revokeModelCall { id: id.into() }
        )
    }

    async fn model(&self, id: Hash) -> Result<Option<Model>> {
        let m = self.sender.view(self.roll, Roll::modelCall { id: id.into() }).await?;
        let model = Model {
            program: m.program.0,
            verifier_class: m.verifierClass,
            publisher: m.publisher.into_array(),
            active: m.status == ACTIVE,
        };
        Ok((m.status != 0).then_some(model))
    }

    async fn bond_node(&self, by: &Signer, node: Account, bonded: u64) -> Result<Outcome> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.bond(node).await?.bonded;
                if have < bonded {
                    self.allow(by, self.bonds, bonded - have).await?;
                }
                have >= bonded
            },
            self.bonds,
            Bonds::bondCall { node: node.into(), amount: U256::from(bonded - have) }
        )
    }

    async fn unbond_node(&self, by: &Signer, bonded: u64) -> Result<Outcome> {
        let mut have;
        reach!(
            self,
            by,
            {
                have = self.bond(by.account()).await?.bonded;
                have <= bonded
            },
            self.bonds,
            Bonds::startUnbondingCall { amount: U256::from(have - bonded) }
        )
    }

    async fn withdraw_bond(&self, by: &Signer) -> Result<Outcome> {
        reach!(self, by, self.bond(by.account()).await?.unbonding == 0, self.bonds, Bonds::withdrawCall {})
    }

    async fn bond(&self, node: Account) -> Result<Bond> {
        let b = self.sender.view(self.bonds, Bonds::bondsCall { node: node.into() }).await?;
        Ok(Bond { bonded: money(b.bonded)?, unbonding: money(b.unbonding)?, unbond_at: b.unbondAt })
    }

    async fn slash_equivocation(&self, by: &Signer, a: &SignedReceipt, b: &SignedReceipt) -> Result<Outcome> {
        let call = Bonds::slashEquivocationCall {
            a: (&a.receipt).into(),
            sigA: Bytes::copy_from_slice(&a.signature),
            b: (&b.receipt).into(),
            sigB: Bytes::copy_from_slice(&b.signature),
        };
        // A bond of nothing is refused by name (NothingAtStake): that nothing is there does not say that these two receipts took it.
        reach!(self, by, false, self.bonds, call.clone())
    }

    fn cover_id(&self, insurer: Account, terms: &CoverTerms, salt: Hash) -> Hash {
        use alloy::sol_types::SolValue;
        let args = (Address::from(insurer), B256::from(salt), Terms::from(terms));
        alloy::primitives::keccak256(args.abi_encode_params()).0
    }

    async fn cover_open(&self, by: &Signer, terms: &CoverTerms, salt: Hash) -> Result<Outcome> {
        let id = self.cover_id(by.account(), terms, salt);
        reach!(
            self,
            by,
            {
                // The id commits to insurer, salt and terms, so a policy under it is this one.
                let there = self.cover(id).await?.is_some();
                if !there {
                    self.allow(by, self.frost, terms.payout).await?;
                }
                there
            },
            self.frost,
            Frost::openCall { terms: terms.into(), salt: salt.into() }
        )
    }

    async fn cover_report(&self, by: &Signer, id: Hash, report: &CoverReport) -> Result<Outcome> {
        let call = Frost::reportCall {
            id: id.into(),
            receipt: (&report.receipt).into(),
            outputBytes: Bytes::copy_from_slice(&report.output_bytes),
            epoch: report.epoch,
            proof: hashes(&report.proof),
        };
        reach!(self, by, self.counted(id, report).await?, self.frost, call.clone())
    }

    async fn cover_reclaim(&self, by: &Signer, id: Hash) -> Result<Outcome> {
        reach!(
            self,
            by,
            self.cover(id).await?.is_some_and(|c| c.state == CoverState::Reclaimed),
            self.frost,
            Frost::reclaimCall { id: id.into() }
        )
    }

    async fn cover(&self, id: Hash) -> Result<Option<Cover>> {
        let p = self.sender.view(self.frost, Frost::policyCall { id: id.into() }).await?;
        let state = match p.status {
            0 => return Ok(None),
            1 => CoverState::Open,
            2 => CoverState::Paid,
            3 => CoverState::Reclaimed,
            n => return Err(SettleError::WrongChain(format!("policy status {n}"))),
        };
        Ok(Some(Cover {
            insurer: p.insurer.into_array(),
            beneficiary: p.beneficiary.into_array(),
            start: p.start,
            day_count: p.dayCount,
            quorum: p.quorum,
            payout: money(p.payout)?,
            model: p.model.0,
            stations: p.stations.map(|s| s.0),
            state,
        }))
    }

    async fn cover_day(&self, id: Hash, day: u64) -> Result<[bool; 3]> {
        let call = Frost::dayMarksCall { id: id.into(), day: U256::from(day) };
        let marks = self.sender.view(self.frost, call).await?;
        Ok([0, 1, 2].map(|i| marks.bits.bit(i)))
    }

    async fn events_since(&self, cursor: &Cursor, limit: usize) -> Result<EventPage> {
        events::since(&self.sender, &self.deployment, cursor, limit).await
    }
}
