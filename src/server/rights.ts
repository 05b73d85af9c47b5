/**
 * Which roles each route is for. What a tool may do is Cedar's to decide; this is about what is no tool: reading, answering,
 * administering. A route that is not in the table is for nobody, and a test compares it with the routes there are.
 */
import {createMiddleware} from 'hono/factory';
import {matchedRoutes} from 'hono/route';
import {WritError} from '#contract/errors.ts';
import {ROLES, type Role} from '#contract/identity.ts';
import type {AppContext, AppEnv} from './context.ts';

const READ: readonly Role[] = ['viewer', 'analyst', 'operator', 'approver', 'auditor'];
const WORK: readonly Role[] = ['analyst', 'operator'];
const AUDIT: readonly Role[] = ['auditor'];
const ANSWER: readonly Role[] = ['approver'];
const ADMIN: readonly Role[] = ['admin'];
const PLATFORM: readonly Role[] = ['platform'];
/** Anybody who is somebody, whatever their roles. */
const SELF: readonly Role[] | 'self' = 'self';

/** By method and path, as the routes declare them. */
export const RIGHTS: Readonly<Record<string, readonly Role[] | 'self' | 'public'>> = {
	'GET /healthz': 'public',
	'GET /readyz': 'public',
	'GET /docs': 'public',
	'GET /openapi.json': 'public',
	'GET /auth/sign-in': 'public',
	'GET /auth/callback': 'public',
	'POST /auth/sign-out': SELF,
	'GET /api/v1/me': SELF,
	'GET /api/v1/tokens': SELF,
	'POST /api/v1/tokens': SELF,
	'POST /api/v1/tokens/{token_id}/revoke': SELF,
	'GET /api/v1/accounts': ADMIN,
	'POST /api/v1/accounts/{account}': ADMIN,
	'GET /metrics': ROLES,

	'GET /datasets': READ,
	'GET /datasets/{dataset_id}/schema': READ,
	'POST /datasets': WORK,
	'POST /api/v1/datasets/samples': WORK,
	'DELETE /api/v1/datasets/{dataset_id}': WORK,
	'GET /threads': READ,
	'GET /threads/{thread_id}/messages': READ,
	'GET /runs': READ,
	'GET /runs/{run_id}': READ,
	'GET /runs/{run_id}/status': READ,
	'GET /runs/{run_id}/stream': READ,
	'GET /runs/{run_id}/events': READ,
	'GET /runs/{run_id}/export': WORK,
	'GET /runs/{run_id}/evidence': READ,
	'POST /runs/{run_id}/verify': READ,
	'POST /api/v1/runs/{run_id}/replay': WORK,
	'GET /api/v1/code/{run_id}': READ,
	'GET /api/v1/code/{run_id}/artifacts/{sha256}': READ,
	'POST /chat': WORK,
	'POST /chat/stream': WORK,
	'POST /runs': WORK,
	'POST /runs/{run_id}/rerun': WORK,
	'POST /runs/{run_id}/cancel': WORK,
	'POST /api/v1/code': WORK,
	'POST /api/v1/tests': WORK,

	'GET /api/v1/approvals': READ,
	'GET /api/v1/approvals/{approval_id}': READ,
	'POST /api/v1/approvals/{approval_id}/grant': ANSWER,
	'POST /api/v1/approvals/{approval_id}/reject': ANSWER,
	'POST /api/v1/approvals/{approval_id}/revoke': ANSWER,
	'POST /api/v1/approvals/{approval_id}/comment': ANSWER,
	'POST /api/v1/approvals/{approval_id}/delegate': ANSWER,

	'GET /api/v1/audit': AUDIT,
	'GET /api/v1/audit/export': AUDIT,
	'GET /api/v1/holds': ['auditor', 'admin'],
	'POST /api/v1/holds': ['auditor', 'admin'],
	'POST /api/v1/holds/{hold_id}/release': ['auditor', 'admin'],
	'GET /api/v1/retention/preview': ['auditor', 'admin'],
	'POST /api/v1/retention/run': ADMIN,
	'GET /api/v1/policy': ROLES,
	'POST /api/v1/policy/explain': ROLES,
	'POST /api/v1/policy/check': ['auditor', 'admin'],
	'POST /api/v1/policy/backtest': ['auditor', 'admin'],
	'POST /api/v1/policy/reload': PLATFORM,
	'GET /api/v1/budget': ROLES,
	'GET /api/v1/kill-switch': ROLES,
	'POST /api/v1/kill-switch': ['admin', 'platform'],
	'GET /api/v1/tools': ROLES,
	'GET /api/v1/doctor': ROLES,
	'GET /api/v1/config': PLATFORM,
};

/** Refuses whoever has none of the roles of the route that is asked for. What is no route answers for itself. */
export const requireRole = createMiddleware<AppEnv>(async (c, next) => {
	const route = routeOf(c);
	if (route === null) return next();
	const wanted = RIGHTS[route] ?? [];
	if (wanted === 'public') return next();
	const {roles = ROLES} = c.get('principal');
	if (wanted !== 'self' && !wanted.some((role) => roles.includes(role))) {
		const needs = wanted.length > 0 ? `one of the roles: ${wanted.join(', ')}` : 'a right that nobody has';
		throw new WritError('forbidden', `this takes ${needs}`, {
			hint: 'ask an admin of your tenant',
			details: {roles: [...wanted], has: [...roles]},
		});
	}
	return next();
});

/** Null when no route answers to the path and method. */
function routeOf(c: AppContext): string | null {
	const method = c.req.method === 'HEAD' ? 'GET' : c.req.method;
	const found = matchedRoutes(c).findLast((route) => route.method === method && !route.path.endsWith('*'));
	return found ? `${method} ${found.path.replaceAll(/:(\w+)/g, '{$1}')}` : null;
}
