// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Which pipes subscribed to which topics (PUB, XPUB).

use super::trie::Trie;
use crate::pipe::PipeId;

#[derive(Default)]
pub struct Subscriptions {
    topics: Trie<Subscribers>,
}

/// What a removal found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Removed {
    /// The pipe had not subscribed to the topic.
    NotFound,
    /// Others are still subscribed.
    OthersRemain,
    /// The topic has no subscriber any more.
    Last,
}

impl Subscriptions {
    /// True: the pipe is the first subscriber of the topic.
    pub fn add(&mut self, topic: &[u8], id: PipeId) -> bool {
        let mut is_first = false;
        let subscribers = self.topics.get_or_insert_with(topic, || {
            is_first = true;
            Subscribers::One(id)
        });
        if !is_first {
            subscribers.add(id);
        }
        is_first
    }

    pub fn remove(&mut self, topic: &[u8], id: PipeId) -> Removed {
        let Some(subscribers) = self.topics.get_mut(topic) else { return Removed::NotFound };
        let removed = subscribers.remove(id);
        if removed == Removed::Last {
            self.topics.remove(topic);
        }
        removed
    }

    /// Removes a pipe everywhere. Calls `removed` with its topics in ascending order, and whether
    /// each has no subscriber any more.
    pub fn remove_pipe(&mut self, id: PipeId, mut removed: impl FnMut(&[u8], bool)) {
        let mut without_subscriber = Vec::new();
        self.topics.for_each(|topic, subscribers| match subscribers.remove(id) {
            Removed::NotFound => {}
            Removed::OthersRemain => removed(topic, false),
            Removed::Last => {
                removed(topic, true);
                without_subscriber.push(topic.to_vec());
            }
        });
        for topic in without_subscriber {
            self.topics.remove(&topic);
        }
    }

    /// Calls `found` with every subscriber of a message that begins with `data`; one that has
    /// several matching topics comes as often.
    #[inline]
    pub fn for_each_match(&self, data: &[u8], mut found: impl FnMut(PipeId)) {
        self.topics.prefixes_of(data, |subscribers| {
            for &id in subscribers.ids() {
                found(id);
            }
        });
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.topics.len()
    }
}

/// The subscribers of a topic, each once.
enum Subscribers {
    One(PipeId),
    /// Never empty, unless it is about to be removed.
    Many(Vec<PipeId>),
}

impl Subscribers {
    #[inline]
    fn ids(&self) -> &[PipeId] {
        match self {
            Subscribers::One(id) => std::slice::from_ref(id),
            Subscribers::Many(ids) => ids,
        }
    }

    fn add(&mut self, id: PipeId) {
        if self.ids().contains(&id) {
            return;
        }
        match self {
            Subscribers::One(first) => *self = Subscribers::Many(vec![*first, id]),
            Subscribers::Many(ids) => ids.push(id),
        }
    }

    /// With `Last` the caller removes the topic.
    fn remove(&mut self, id: PipeId) -> Removed {
        let Some(place) = self.ids().iter().position(|&other| other == id) else {
            return Removed::NotFound;
        };
        match self {
            Subscribers::Many(ids) if ids.len() > 1 => {
                ids.swap_remove(place);
                Removed::OthersRemain
            }
            _ => Removed::Last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use crate::abi::ZMQ_PULL;

    fn pipes() -> [PipeId; 3] {
        let mut bench = Bench::new(ZMQ_PULL);
        [(); 3].map(|()| {
            let peer = bench.connect();
            bench.id(peer)
        })
    }

    fn matches(subscriptions: &Subscriptions, data: &[u8]) -> Vec<PipeId> {
        let mut found = Vec::new();
        subscriptions.for_each_match(data, |id| found.push(id));
        found
    }

    #[test]
    fn add_and_remove() {
        let [a, b, c] = pipes();
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.add(b"T", a));
        assert!(!subscriptions.add(b"T", a), "a second time is no second subscription");
        assert!(!subscriptions.add(b"T", b));
        assert!(subscriptions.add(b"", c));
        assert_eq!(subscriptions.len(), 2);
        assert_eq!(matches(&subscriptions, b"Topic"), [c, a, b]);
        assert_eq!(matches(&subscriptions, b"t"), [c]);
        assert_eq!(subscriptions.remove(b"T", c), Removed::NotFound);
        assert_eq!(subscriptions.remove(b"unknown", a), Removed::NotFound);
        assert_eq!(subscriptions.remove(b"T", a), Removed::OthersRemain);
        assert_eq!(subscriptions.remove(b"T", a), Removed::NotFound);
        assert_eq!(subscriptions.remove(b"T", b), Removed::Last);
        assert_eq!(subscriptions.remove(b"T", b), Removed::NotFound);
        assert_eq!(subscriptions.remove(b"", c), Removed::Last);
        assert_eq!(subscriptions.len(), 0);
    }

    #[test]
    fn a_pipe_is_removed_everywhere() {
        let [a, b, _] = pipes();
        let mut subscriptions = Subscriptions::default();
        for topic in ["b", "", "ab", "a", "abc", "other"] {
            if topic != "other" {
                subscriptions.add(topic.as_bytes(), a);
            }
            if topic == "a" || topic == "other" {
                subscriptions.add(topic.as_bytes(), b);
            }
        }
        let mut removed = Vec::new();
        subscriptions.remove_pipe(a, |topic, last| {
            removed.push((String::from_utf8(topic.to_vec()).unwrap(), last));
        });
        let expected = [("", true), ("a", false), ("ab", true), ("abc", true), ("b", true)];
        assert_eq!(removed, expected.map(|(topic, last)| (topic.to_string(), last)));
        assert_eq!(subscriptions.len(), 2);
        assert_eq!(matches(&subscriptions, b"abc"), [b]);
    }
}
