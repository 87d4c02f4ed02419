//! One shard's part of every room: who is here, ready for a broadcast to walk over.

use std::collections::HashMap;
use std::sync::Arc;

use thin_vec::ThinVec;

use crate::pubsub::space::Space;

/// The rooms that have members on this shard.
#[derive(Default)]
pub(crate) struct Rooms {
    /// One for each space.
    by_name: [HashMap<Arc<str>, u32>; 2],
    parts: Vec<Part>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Part {
    name: Option<(Space, Arc<str>)>,
    members: Vec<Member>,
}

/// A session's place in a room, from the room's side.
#[derive(Clone, Copy)]
struct Member {
    slot: u32,
    /// Where the session's own list names this room.
    index: u32,
}

/// A session's place in a room, from the session's side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    room: u32,
    /// INVARIANT: `parts[room].members[place]` is this session.
    place: u32,
}

/// Gives the membership lists of sessions by slot: moving one member changes another session's list.
pub(crate) trait Memberships {
    fn of(&mut self, slot: u32) -> Option<&mut ThinVec<Membership>>;
}

impl Rooms {
    /// Adds a session that is not yet a member.
    pub(crate) fn join(&mut self, space: Space, name: &Arc<str>, slot: u32, lists: &mut impl Memberships) {
        let room = self.part(space, name);
        let Some(list) = lists.of(slot) else { return };
        if list.iter().any(|membership| membership.room == room) {
            return;
        }
        let members = &mut self.parts[room as usize].members;
        list.push(Membership { room, place: members.len() as u32 });
        members.push(Member { slot, index: list.len() as u32 - 1 });
    }

    /// Takes a session out of one room.
    pub(crate) fn leave(&mut self, space: Space, name: &str, slot: u32, lists: &mut impl Memberships) {
        let Some(&room) = self.by_name[space as usize].get(name) else { return };
        let Some(list) = lists.of(slot) else { return };
        let Some(at) = list.iter().position(|membership| membership.room == room) else { return };
        let gone = list.swap_remove(at);
        if let Some(moved) = list.get(at).copied() {
            self.parts[moved.room as usize].members[moved.place as usize].index = at as u32;
        }
        if list.is_empty() {
            *list = ThinVec::new();
        }
        self.remove(gone, lists);
    }

    /// Takes a session out of all its rooms, given its list.
    pub(crate) fn leave_all(&mut self, list: ThinVec<Membership>, lists: &mut impl Memberships) {
        for membership in list {
            self.remove(membership, lists);
        }
    }

    /// The slots of a room's members.
    pub(crate) fn members(&self, space: Space, name: &str) -> impl ExactSizeIterator<Item = u32> + '_ {
        let members = match self.by_name[space as usize].get(name) {
            Some(&room) => self.parts[room as usize].members.as_slice(),
            None => &[],
        };
        members.iter().map(|member| member.slot)
    }

    fn part(&mut self, space: Space, name: &Arc<str>) -> u32 {
        if let Some(&room) = self.by_name[space as usize].get(name) {
            return room;
        }
        let room = self.free.pop().unwrap_or_else(|| {
            self.parts.push(Part::default());
            self.parts.len() as u32 - 1
        });
        self.parts[room as usize].name = Some((space, name.clone()));
        self.by_name[space as usize].insert(name.clone(), room);
        room
    }

    fn remove(&mut self, gone: Membership, lists: &mut impl Memberships) {
        let part = &mut self.parts[gone.room as usize];
        part.members.swap_remove(gone.place as usize);
        let moved = part.members.get(gone.place as usize).copied();
        if let Some((moved, list)) = moved.and_then(|moved| lists.of(moved.slot).map(|list| (moved, list))) {
            list[moved.index as usize].place = gone.place;
        }
        if part.members.is_empty() {
            part.members = Vec::new();
            if let Some((space, name)) = part.name.take() {
                self.by_name[space as usize].remove(&name);
            }
            self.free.push(gone.room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lists(Vec<ThinVec<Membership>>);

    impl Memberships for Lists {
        fn of(&mut self, slot: u32) -> Option<&mut ThinVec<Membership>> {
            self.0.get_mut(slot as usize)
        }
    }

    fn sorted(rooms: &Rooms, name: &str) -> Vec<u32> {
        let mut slots: Vec<u32> = rooms.members(Space::Hub, name).collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn joining_and_leaving_in_any_order_agrees_with_sets() {
        let names: Vec<Arc<str>> = (0..5).map(|n| Arc::from(format!("room {n}"))).collect();
        let (mut rooms, mut lists) = (Rooms::default(), Lists(vec![ThinVec::new(); 12]));
        let mut expected = vec![std::collections::BTreeSet::new(); names.len()];
        let mut random = 1u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (slot, room) = ((random >> 33) as u32 % 12, (random >> 40) as usize % names.len());
            match (random >> 50) % 5 {
                0..=2 => {
                    rooms.join(Space::Hub, &names[room], slot, &mut lists);
                    expected[room].insert(slot);
                }
                3 => {
                    rooms.leave(Space::Hub, &names[room], slot, &mut lists);
                    expected[room].remove(&slot);
                }
                _ => {
                    let list = std::mem::take(&mut lists.0[slot as usize]);
                    rooms.leave_all(list, &mut lists);
                    expected.iter_mut().for_each(|set| {
                        set.remove(&slot);
                    });
                }
            }
            for (name, set) in names.iter().zip(&expected) {
                assert_eq!(sorted(&rooms, name), set.iter().copied().collect::<Vec<_>>());
            }
        }
        assert!(rooms.parts.len() <= names.len(), "empty parts are used again");
    }
}
