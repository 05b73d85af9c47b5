export function RunsScreen() {
	return <p>RunsScreen</p>;
}
