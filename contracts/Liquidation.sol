// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ILedger} from "./ILedger.sol";

/// @title Liquidation of vaults whose health is below 110 %.
/// @notice Anyone may repay a part or all of such a vault's debt, and receives collateral worth it and 5 % more. A
/// vault whose collateral is worth less than 105 % of its debt has less health after it, and its last debt stays
/// uncovered.
contract Liquidation {
    /// @notice A vault is liquidated below this health, and not at it: 110 %.
    uint256 public constant LIQUIDATION_RATIO = 1.1e18;

    /// @notice What a liquidator gains, of the debt repaid: 5 %.
    uint256 public constant BONUS = 0.05e18;

    /// @notice Where the vaults are. Fixed at deployment.
    ILedger public ledger;

    /// @notice A liquidation: what was repaid and seized, in base units, and the vault's health before and after it.
    event VaultLiquidated(
        address indexed vault,
        address indexed liquidator,
        address indexed currency,
        address asset,
        uint256 debtRepaid,
        uint256 collateralSeized,
        uint256 healthBefore,
        uint256 healthAfter
    );

    /// @notice The vault's health is not below LIQUIDATION_RATIO.
    error NotLiquidatable(address vault, uint256 health);

    /// @notice Nothing, or more than the vault owes in this currency.
    error InvalidRepayment(uint256 owed, uint256 amount);

    /// @notice The collateral to be had is less than the liquidator wants for it, or none.
    error SeizesTooLittle(uint256 seized, uint256 minimum);

    /// @param ledger_ The ledger, which grants this contract LIQUIDATOR_ROLE.
    constructor(ILedger ledger_) {
        ledger = ledger_;
    }

    /// @notice Whether the vault can be liquidated now: its health is below 110 % by usable prices.
    /// @dev False while a price that it needs is stale or frozen: `liquidate` would revert.
    function canLiquidate(address vault) external view returns (bool) {
        try ledger.currentHealth(vault) returns (uint256 health) {
            return health < LIQUIDATION_RATIO;
        } catch {
            return false;
        }
    }

    /// @notice Repay `repayment` of the vault's debt in `currency`, for collateral in `asset`. The caller approved the
    /// ledger for the repayment.
    /// @dev Refused: NotLiquidatable, InvalidRepayment, SeizesTooLittle, what the price oracle and the tokens refuse.
    /// @param minimum Least base units of `asset` that the caller wants: a vault can hold less than what is earned.
    /// @return seized Base units of `asset` received.
    function liquidate(address vault, address currency, uint256 repayment, address asset, uint256 minimum)
        external
        returns (uint256 seized)
    {
        uint256 healthBefore = ledger.currentHealth(vault);
        if (healthBefore >= LIQUIDATION_RATIO) revert NotLiquidatable(vault, healthBefore);
        uint256 owed = ledger.debtOf(vault, currency);
        if (repayment == 0 || repayment > owed) revert InvalidRepayment(owed, repayment);
        uint256 earned = Math.mulDiv(ledger.collateralFor(currency, repayment, asset), 1e18 + BONUS, 1e18);
        seized = Math.min(earned, ledger.collateralOf(vault, asset));
        if (seized == 0 || seized < minimum) revert SeizesTooLittle(seized, minimum);
        ledger.seize(vault, currency, repayment, asset, seized, msg.sender);
        uint256 healthAfter = ledger.getVaultHealth(vault);
        emit VaultLiquidated(vault, msg.sender, currency, asset, repayment, seized, healthBefore, healthAfter);
    }
}
