//! Nodes, their stake, capabilities and devices; thawing.

use super::guard::doubled;
use super::{Effect, Fold};
use crate::key::{Address, DeviceSignature};
use crate::limits::{CAPABILITIES_MAX, TIME_S_MAX};
use crate::money::Usd;
use crate::order::{Bind, Enroll, Measured, Order, Signed, Thaw};
use crate::refusal::{Refusal, require};
use crate::state::{DeviceBinding, Node, Standing, State};
use std::collections::BTreeMap;

impl Fold<'_> {
    /// The node, or `node.unknown`.
    pub(super) fn node(&self, node: &Address) -> Result<&Node, Refusal> {
        self.state.nodes.get(node).ok_or_else(|| Refusal::new("node.unknown", "an enrolled node", node))
    }

    pub(super) fn node_enrolled(self, order: &Signed<Enroll>) -> Result<Vec<Effect>, Refusal> {
        order.verify(&self.rules.domain)?;
        let Enroll { node, operator, nonce } = order.order;
        require(node != self.rules.vault, "node.is-vault", "an account that is not the vault", node)?;
        let next = self.state.nodes.get(&node).map_or(0, |known| known.nonce);
        require(nonce == next, "node.nonce", next, nonce)?;
        // Nobody asks the operator: naming a checker's would take the seat from it that judges this node. Its own nodes get
        // no work anyway.
        let judges = |checker: &Address| {
            let run_by = self.state.nodes.get(checker).map(|known| known.operator);
            node != *checker && (operator == *checker || run_by == Some(operator))
        };
        let free = !self.rules.checkers.iter().any(judges);
        require(free, "node.operator-checks", "an operator that runs no checker", operator)?;
        if let Some(known) = self.state.nodes.get_mut(&node) {
            known.operator = operator;
            known.nonce += 1;
            return Ok(Vec::new());
        }
        let fresh = Node {
            operator,
            nonce: 1,
            stake: Usd::ZERO,
            stake_block: 0,
            capabilities: BTreeMap::new(),
            standing: Standing::Active,
            strikes: 0,
            penalties: 0,
            chain: Vec::new(),
        };
        self.state.nodes.insert(node, fresh);
        Ok(Vec::new())
    }

    pub(super) fn stake_seen(self, node: &Address, stake: Usd, block: u64) -> Result<Vec<Effect>, Refusal> {
        let known = self.node(node)?;
        require(block >= known.stake_block, "stake.old-block", known.stake_block, block)?;
        if let Some(known) = self.state.nodes.get_mut(node) {
            known.stake = stake;
            known.stake_block = block;
        }
        Ok(Vec::new())
    }

    pub(super) fn capability_measured(self, order: &Signed<Measured>) -> Result<Vec<Effect>, Refusal> {
        order.verify(&self.rules.domain)?;
        let Measured { checker, node, service, model, expires_s } = order.order;
        require(
            self.rules.checkers.contains(&checker),
            "capability.not-a-checker",
            "a checker of this market",
            checker,
        )?;
        let at_s = self.at_s;
        require(
            expires_s > at_s && expires_s <= TIME_S_MAX,
            "capability.expired",
            format_args!("after {at_s}"),
            expires_s,
        )?;
        let known = self.node(&node)?;
        require(
            !self.state.is_party(&checker, &node),
            "capability.own-node",
            "a checker that does not run the node",
            checker,
        )?;
        let room =
            known.capabilities.len() < CAPABILITIES_MAX || known.capabilities.contains_key(&(service, model));
        require(room, "capability.too-many", CAPABILITIES_MAX, known.capabilities.len())?;
        if let Some(known) = self.state.nodes.get_mut(&node) {
            known.capabilities.insert((service, model), expires_s);
        }
        Ok(Vec::new())
    }

    pub(super) fn device_bound(
        self,
        bind: &Signed<Bind>,
        consent: &DeviceSignature,
    ) -> Result<Vec<Effect>, Refusal> {
        let digest = bind.verify(&self.rules.domain)?;
        let Bind { node, device, cell } = bind.order;
        device
            .verify(&digest, consent)
            .map_err(|refusal| Refusal::new("device.consent", refusal.expected, refusal.got))?;
        self.node(&node)?;
        if let Some(bound) = self.state.devices.get(&device) {
            return Err(Refusal::new("device.already-bound", "a device of no node", bound.node));
        }
        self.state.devices.insert(device, DeviceBinding { node, cell });
        Ok(Vec::new())
    }

    pub(super) fn node_thawed(self, order: &Signed<Thaw>) -> Result<Vec<Effect>, Refusal> {
        order.verify(&self.rules.domain)?;
        let node = order.order.node;
        let known = self.node(&node)?;
        require(
            known.operator == order.order.signer(),
            "thaw.not-the-operator",
            known.operator,
            order.order.operator,
        )?;
        let Standing::Frozen { since_s, at_event } = known.standing else {
            return Err(Refusal::new(
                "thaw.not-frozen",
                "a frozen node",
                format_args!("{:?}", known.standing),
            ));
        };
        require(order.order.frozen_at == at_event, "thaw.other-freeze", at_event, order.order.frozen_at)?;
        let times = if self.state.guarded.is_some() { known.penalties } else { 1 };
        let earliest = since_s + doubled(self.rules.freeze_s, times); // both bounded: limits.rs
        require(self.at_s >= earliest, "thaw.too-soon", earliest, self.at_s)?;
        if let Some(known) = self.state.nodes.get_mut(&node) {
            known.standing = Standing::Active;
            known.strikes = 0;
        }
        Ok(Vec::new())
    }
}

impl State {
    /// True when `checker` is the node itself or its operator, or is run by the same operator.
    pub(crate) fn is_party(&self, checker: &Address, node: &Address) -> bool {
        let operator = self.nodes.get(node).map(|known| known.operator);
        let checkers_operator = self.nodes.get(checker).map(|known| known.operator);
        checker == node || operator == Some(*checker) || (operator.is_some() && operator == checkers_operator)
    }
}
