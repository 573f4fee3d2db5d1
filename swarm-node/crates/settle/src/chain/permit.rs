//! An owner's leave to move its tokens, given by a signature instead of a transaction.

use contracts::client::RpcError;
use contracts::swarm::Swarm;
use contracts::swarm::calls::Permit;
use contracts::typed;
use contracts::{Address, U256};
use swarm_identity::NodeKey;

/// Signs that `spender` may move `amount` units of the owner's tokens, for ever: the call that
/// carries it is sent at once, and another one needs another nonce. `None` for a token without
/// permits, and for a key that cannot sign, which has negligible probability: approve instead.
///
/// # Errors
/// [`RpcError`] if the chain does not answer.
pub async fn permit(
    swarm: &Swarm,
    key: &NodeKey,
    owner: Address,
    spender: Address,
    amount: U256,
) -> Result<Option<Permit>, RpcError> {
    let deadline = U256::MAX;
    let Some((separator, nonce)) = swarm.permit_terms(owner).await? else {
        return Ok(None);
    };
    let digest = typed::permit(separator, owner, spender, amount, nonce, deadline);
    let signature = key.sign_recoverable(&digest.0);
    Ok(signature.map(|signature| Permit {
        deadline,
        signature,
    }))
}
