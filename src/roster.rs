//! The receivers of a transfer, each address once: two sockets to one receiver would break stop-and-wait there, so one
//! thread serves all list entries with the same address in turn.

use crate::event::Listed;
use crate::protocol::plan::Plan;
use crate::protocol::{ListIndex, Receiver, SeqRange};
use crate::report::Latency;

/// One receiver, and what the plan gives to it.
pub(crate) struct Member<'a> {
    /// Its first entry in the orchestrator's list, counted from 0: what events call it by.
    pub entry: usize,
    pub receiver: &'a Receiver,
    pub latency: Option<Latency>,
    /// Of each of its entries, in list order.
    pub ranges: Vec<SeqRange>,
}

/// All receivers, in the order of their first entries.
pub(crate) struct Roster<'a> {
    members: Vec<Member<'a>>,
    entries: usize,
}

impl<'a> Roster<'a> {
    /// Merges the list entries that have the same address. `latencies`, if any were measured, are in list order.
    pub fn new(receivers: &'a [Receiver], latencies: Option<&[Latency]>, plan: &Plan) -> Self {
        let mut members: Vec<Member<'a>> = Vec::new();
        for (entry, (receiver, &range)) in receivers.iter().zip(plan.ranges()).enumerate() {
            // A scan and no map: lists are short, at most some thousand entries.
            match members.iter_mut().find(|member| member.receiver.address == receiver.address) {
                Some(member) => member.ranges.push(range),
                None => {
                    let latency = latencies.and_then(|l| l.get(entry)).copied();
                    members.push(Member { entry, receiver, latency, ranges: vec![range] });
                }
            }
        }
        Self { members, entries: receivers.len() }
    }

    /// The receivers; a worker's number is its index here.
    pub fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// One receiver.
    pub fn member(&self, worker: usize) -> Option<&Member<'a>> {
        self.members.get(worker)
    }

    /// What events call a worker by.
    pub fn listed(&self, worker: usize) -> Option<Listed<'a>> {
        self.member(worker).map(|m| Listed { index: ListIndex(m.entry), receiver: m.receiver })
    }

    /// How many entries the orchestrator's list has.
    pub fn entries(&self) -> usize {
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::plan;

    #[test]
    fn an_address_that_is_listed_twice_is_one_receiver_with_both_ranges() {
        let receivers: Vec<_> = ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
            .into_iter()
            .enumerate()
            .map(|(i, address)| Receiver { address: address.parse().unwrap(), name: i.to_string() })
            .collect();
        let plan = plan::balanced(3000, &[std::time::Duration::from_millis(1); 3]).unwrap();
        let roster = Roster::new(&receivers, None, &plan);
        assert_eq!((roster.members().len(), roster.entries()), (2, 3));
        let first = roster.member(0).unwrap();
        assert_eq!((first.entry, first.receiver.name.as_str()), (0, "0"));
        assert_eq!(first.ranges.iter().map(|r| r.first().0).collect::<Vec<_>>(), [0, 20]);
        assert_eq!(roster.listed(1).map(|listed| listed.index), Some(ListIndex(1)));
    }
}
