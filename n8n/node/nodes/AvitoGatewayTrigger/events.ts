import type { IDataObject } from 'n8n-workflow';

export type Kind = 'message' | 'command.sent' | 'command.failed';

/** Returns what kind of the gateway's events a body is; null if it is none. */
export function kindOf(body: IDataObject): Kind | null {
	if (body.event === 'command.sent' || body.event === 'command.failed') return body.event;
	return body.channel === 'avito' && typeof body.external_chat_id === 'string' ? 'message' : null;
}

export interface Wishes {
	kinds: Kind[];
	textOnly: boolean;
	ignoreOwn: boolean;
}

/** Returns why an event does not start the workflow; null if it does. */
export function unwanted(kind: Kind, body: IDataObject, wishes: Wishes): string | null {
	if (!wishes.kinds.includes(kind)) return `events of kind ${kind} are not asked for`;
	if (kind !== 'message') return null;
	const meta = (body.meta ?? {}) as IDataObject;
	// The gateway names the direction only where it delivers more than what customers write.
	if (wishes.ignoreOwn && (meta.direction === 'out' || body.external_user_id === body.user_id)) {
		return 'it is an own message';
	}
	if (wishes.textOnly && meta.original_media_type !== 'text') return 'it is not a text';
	return null;
}

/** How many ids are kept: repeats come within minutes, and n8n writes all of them with each message. */
const KEPT_IDS = 500;

/** Notes an id in a workflow's static data, and returns whether it was there already. */
export function isRepeat(seen: IDataObject, id: string): boolean {
	const ids = Array.isArray(seen.ids) ? (seen.ids as string[]) : [];
	if (ids.includes(id)) return true;
	seen.ids = [...ids, id].slice(-KEPT_IDS);
	return false;
}
