import { createHash } from 'node:crypto';

/** Where in n8n a request is made. */
export interface Place {
	instanceId: string;
	executionId: string;
	/** Unique in its workflow. */
	nodeName: string;
	runIndex: number;
	itemIndex: number;
}

/**
 * Returns the key that is the same on each try of Retry On Fail, and another one for each item and each round of a loop.
 *
 * Execution ids count from 1 in every n8n, so the instance is part of it. Names may be of any script and headers may not,
 * so instance and name are there as a hash.
 */
export function idempotencyKey(place: Place): string {
	const node = createHash('sha256')
		.update(JSON.stringify([place.instanceId, place.nodeName]))
		.digest('hex')
		.slice(0, 16);
	return `n8n-${place.executionId}-${node}-${place.runIndex}-${place.itemIndex}`;
}
