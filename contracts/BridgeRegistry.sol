// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IBridgeRegistry} from "./IBridgeRegistry.sol";

/// @title The chains that the bridge reaches, and whether it does now.
contract BridgeRegistry is IBridgeRegistry, AccessControl {
    /// @notice Who switches routes and reports what became of a destination.
    bytes32 public constant OPERATOR_ROLE = keccak256("OPERATOR_ROLE");

    /// @notice How a destination chain is doing. Transfers go to one that is active or degraded.
    enum Status {
        Unknown,
        Active,
        Degraded,
        Down
    }

    /// @dev `finality` counts blocks of the destination chain; 1 where a block is final at once.
    struct Destination {
        Status status;
        bool routeEnabled;
        uint64 finality;
        address bridge;
    }

    /// @notice The destination on a chain: status, whether its route is enabled, blocks until final, and the contract
    /// there. All zero for an unknown chain.
    mapping(uint256 chainId => Destination) public destinations;

    uint256[] private _chainIds;

    /// @notice A destination was added or changed.
    event DestinationSet(uint256 indexed chainId, address indexed bridge, uint64 finality);

    /// @notice A destination's status changed.
    event DestinationStatusUpdated(uint256 indexed chainId, Status oldStatus, Status newStatus);

    /// @notice A route was enabled or disabled.
    event RouteEnabledSet(uint256 indexed chainId, bool enabled);

    /// @notice No destination is known on this chain.
    error UnknownDestination(uint256 chainId);

    /// @notice A destination without a contract or without finality, or set to unknown.
    error InvalidDestination(uint256 chainId);

    /// @param admin Holds DEFAULT_ADMIN_ROLE: grants roles and sets destinations.
    constructor(address admin) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @notice Add a destination, active and with its route still disabled, or change a known one's contract and
    /// finality.
    /// @dev Refused: callers without DEFAULT_ADMIN_ROLE (AccessControlUnauthorizedAccount), InvalidDestination.
    function setDestination(uint256 chainId, address bridge, uint64 finality) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (bridge == address(0) || finality == 0 || chainId == block.chainid) revert InvalidDestination(chainId);
        Destination storage destination = destinations[chainId];
        destination.bridge = bridge;
        destination.finality = finality;
        emit DestinationSet(chainId, bridge, finality);
        if (destination.status == Status.Unknown) {
            _chainIds.push(chainId);
            _setStatus(chainId, Status.Active);
        }
    }

    /// @notice Report how a destination is doing.
    /// @dev Refused: callers without OPERATOR_ROLE (AccessControlUnauthorizedAccount), UnknownDestination,
    /// InvalidDestination.
    function setStatus(uint256 chainId, Status status) external onlyRole(OPERATOR_ROLE) {
        _requireKnown(chainId);
        if (status == Status.Unknown) revert InvalidDestination(chainId);
        _setStatus(chainId, status);
    }

    /// @notice Enable or disable a route.
    /// @dev Refused: callers without OPERATOR_ROLE (AccessControlUnauthorizedAccount), UnknownDestination.
    function setRouteEnabled(uint256 chainId, bool enabled) external onlyRole(OPERATOR_ROLE) {
        _requireKnown(chainId);
        destinations[chainId].routeEnabled = enabled;
        emit RouteEnabledSet(chainId, enabled);
    }

    /// @inheritdoc IBridgeRegistry
    function isRouteOpen(uint256 chainId) external view returns (bool) {
        Destination storage destination = destinations[chainId];
        Status status = destination.status;
        return destination.routeEnabled && (status == Status.Active || status == Status.Degraded);
    }

    /// @notice All chains with a destination.
    function chainIds() external view returns (uint256[] memory) {
        return _chainIds;
    }

    function _requireKnown(uint256 chainId) private view {
        if (destinations[chainId].status == Status.Unknown) revert UnknownDestination(chainId);
    }

    function _setStatus(uint256 chainId, Status status) private {
        emit DestinationStatusUpdated(chainId, destinations[chainId].status, status);
        destinations[chainId].status = status;
    }
}
