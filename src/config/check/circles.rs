//! Circles in the order of table maps: who runs after whom in, the circles that no order can satisfy out.
//!
//! `ref` alone may go in circles, since a reference can be written in a second step; `after` may not be part of one.

/// One wish: `table` runs after `first`, both by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub table: usize,
    pub first: usize,
    /// From `after` (and its position there), not from `ref`.
    pub after: Option<usize>,
}

/// A circle with an `after` in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Circle {
    /// The `after` that closes it.
    pub wish: Wish,
    /// The tables, each running after the next one, beginning and ending with the same.
    pub tables: Vec<usize>,
}

/// Returns the circles, each once.
pub(super) fn find(tables: usize, wishes: &[Wish]) -> Vec<Circle> {
    let mut circles: Vec<Circle> = Vec::new();
    for wish in wishes.iter().filter(|wish| wish.after.is_some()) {
        let Some(way) = way(tables, wishes, wish.first, wish.table) else { continue };
        let circle = Circle { wish: *wish, tables: [vec![wish.table], way].concat() };
        let members = |circle: &Circle| {
            let mut members = circle.tables[1..].to_vec();
            members.sort_unstable();
            members
        };
        if !circles.iter().any(|known| members(known) == members(&circle)) {
            circles.push(circle);
        }
    }
    circles
}

/// Returns the shortest way from one table to another along the wishes, both ends included.
fn way(tables: usize, wishes: &[Wish], from: usize, to: usize) -> Option<Vec<usize>> {
    let mut came_from: Vec<Option<usize>> = vec![None; tables];
    let mut queue = std::collections::VecDeque::from([from]);
    while let Some(table) = queue.pop_front() {
        if table == to {
            let mut way = vec![to];
            let mut at = to;
            while at != from {
                at = came_from[at].expect("every table in the queue but the first came from another");
                way.insert(0, at);
            }
            return Some(way);
        }
        for wish in wishes.iter().filter(|wish| wish.table == table) {
            if wish.first != from && came_from[wish.first].is_none() {
                came_from[wish.first] = Some(table);
                queue.push_back(wish.first);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_circles_with_an_after_are_found() {
        let check = |wishes: &[(usize, usize, bool)], expected: &[&[usize]]| {
            let wish = |&(table, first, after): &(usize, usize, bool)| Wish { table, first, after: after.then_some(0) };
            let wishes: Vec<Wish> = wishes.iter().map(wish).collect();
            let circles: Vec<Vec<usize>> = find(4, &wishes).into_iter().map(|circle| circle.tables).collect();
            assert_eq!(circles, expected, "{wishes:?}");
        };
        let (after, reference) = (true, false);
        check(&[(0, 1, after), (1, 2, after), (2, 3, reference)], &[]);
        check(&[(0, 1, reference), (1, 0, reference), (2, 2, reference)], &[]);
        check(&[(0, 0, after)], &[&[0, 0]]);
        check(&[(0, 1, after), (1, 0, after)], &[&[0, 1, 0]]);
        check(&[(0, 1, after), (1, 0, reference)], &[&[0, 1, 0]]);
        check(&[(0, 1, after), (1, 2, after), (2, 0, after), (2, 3, after)], &[&[0, 1, 2, 0]]);
        check(&[(0, 1, after), (1, 0, after), (2, 3, after), (3, 2, reference)], &[&[0, 1, 0], &[2, 3, 2]]);
    }
}
