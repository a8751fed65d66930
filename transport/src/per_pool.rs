//! One value for each of the two pools, which share nothing.

use crate::ids::PoolId;

#[derive(Default)]
pub(crate) struct PerPool<T> {
    lookup: T,
    persona: T,
}

impl<T> PerPool<T> {
    pub(crate) const fn get(&self, pool: PoolId) -> &T {
        match pool {
            PoolId::Lookup => &self.lookup,
            PoolId::Persona => &self.persona,
        }
    }

    pub(crate) const fn get_mut(&mut self, pool: PoolId) -> &mut T {
        match pool {
            PoolId::Lookup => &mut self.lookup,
            PoolId::Persona => &mut self.persona,
        }
    }
}
