//! Tests of the pure half, in one binary so that they link once.
//!
//! Order of reading: [`table`] prints every state against every event, [`lifecycle`] tells stories,
//! [`random`] lets a hostile [`world`] loose, the others test one module each.

#[cfg(test)]
mod clock;
#[cfg(test)]
mod holds;
#[cfg(test)]
mod host;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod random;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod slots;
#[cfg(test)]
mod support;
#[cfg(test)]
mod table;
#[cfg(test)]
mod world;
